// engine/io/checksum: the known answer of CRC-64/XZ and the properties the checkpoint relies on.
#include "engine/io/checksum.hpp"

#include <string>
#include <string_view>

#include "support/catch.hpp"

using dtcalc::crc64;
using dtcalc::hexadecimal;

namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

/// The definition, one bit at a time.
std::uint64_t crc64_by_bits(std::string_view text) {
  std::uint64_t crc = ~std::uint64_t{0};
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xC96C5795D7870F42 : crc >> 1;
  }
  return ~crc;
}

}  // namespace

TEST_CASE("checksum: CRC-64/XZ of the standard check text") {
  // The catalogue of parametrised CRC algorithms gives this check value for CRC-64/XZ.
  CHECK(crc64(bytes("123456789")) == 0x995DC9BBDF1939FA);
  CHECK(hexadecimal(crc64(bytes("123456789"))) == "995dc9bbdf1939fa");
  CHECK(hexadecimal(crc64({})) == "0000000000000000");
}

TEST_CASE("checksum: eight bytes at a time gives what one bit at a time gives") {
  std::string text;
  for (int length = 0; length < 100; ++length) {
    CAPTURE(length);
    CHECK(crc64(bytes(text)) == crc64_by_bits(text));
    text.push_back(static_cast<char>(37 * length + 11));
  }
}

TEST_CASE("checksum: parts in sequence give the whole") {
  const std::string_view text = "the quick brown fox jumps over the lazy dog";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CHECK(crc64(bytes(text.substr(cut)), crc64(bytes(text.substr(0, cut)))) == crc64(bytes(text)));
  }
}
