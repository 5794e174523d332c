// libFuzzer target: any bytes as a safetensors file. The parser must return an index or an error; an index must hold
// what its callers rely on (entries tile the data, sizes match shapes), and writing the same tensors must give a file
// that parses to the same index.
#include <cstdlib>
#include <cstring>

#include "engine/io/safetensors.hpp"

using namespace dtcalc::safetensors;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(std::span<const std::byte> file, const Index& index) {
  std::uint64_t position = 0;
  std::vector<TensorView> tensors;
  for (const Entry& entry : index.entries) {
    require(entry.begin == position && entry.end >= entry.begin);
    position = entry.end;
    tensors.push_back(
        {entry.name, entry.type, entry.shape, file.subspan(index.data_begin + entry.begin, entry.end - entry.begin)});
  }
  require(index.data_begin + position == file.size());

  std::vector<std::byte> written;
  const auto sink = [&](std::string_view, std::span<const std::byte> bytes) -> std::optional<dtcalc::Error> {
    written.insert(written.end(), bytes.begin(), bytes.end());
    return std::nullopt;
  };
  require(!write(sink, tensors, index.metadata));
  const dtcalc::Result<Index> again = parse_index(written, written.size(), "written");
  require(static_cast<bool>(again));
  require(again->entries.size() == index.entries.size() && again->metadata == index.metadata);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  const dtcalc::Result<Index> index = parse_index(file, size, "fuzz");
  if (index) check(file, *index);

  // The same bytes as a header with the right length, so that the fuzzer need not find it.
  std::vector<std::byte> with_length(8 + size);
  const std::uint64_t length = size;
  std::memcpy(with_length.data(), &length, 8);
  std::memcpy(with_length.data() + 8, data, size);
  const dtcalc::Result<Index> as_header = parse_index(with_length, with_length.size(), "fuzz");
  if (as_header) check(with_length, *as_header);
  return 0;
}
