#include "engine/io/checksum.hpp"

#include <fmt/core.h>

#include <array>
#include <cstring>

namespace dtcalc {
namespace {

constexpr std::uint64_t reflected_polynomial = 0xC96C5795D7870F42;  // ECMA-182, bits reversed

// slices[0] is the byte-wise table; slices[k][b] is the effect of byte b followed by k zero bytes, so that eight bytes
// are taken per step.
using Slices = std::array<std::array<std::uint64_t, 256>, 8>;

constexpr Slices make_slices() {
  Slices slices{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? reflected_polynomial : 0);
    slices[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint64_t crc = slices[k - 1][byte];
      slices[k][byte] = (crc >> 8) ^ slices[0][crc & 0xFF];
    }
  }
  return slices;
}

constexpr Slices slices = make_slices();

}  // namespace

std::uint64_t crc64(std::span<const std::byte> bytes, std::uint64_t previous) {
  std::uint64_t crc = ~previous;
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);  // little-endian machines only, like the files themselves
    crc ^= word;
    std::uint64_t next = 0;
    for (std::size_t k = 0; k < 8; ++k) next ^= slices[7 - k][(crc >> (8 * k)) & 0xFF];
    crc = next;
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ slices[0][(crc ^ static_cast<std::uint64_t>(byte)) & 0xFF];
  return ~crc;
}

std::string hexadecimal(std::uint64_t value) { return fmt::format("{:016x}", value); }

}  // namespace dtcalc
