// The safetensors format: tensors by name in one file (8-byte little-endian header length, JSON header, data).
//
// Called by the checkpoint. The reader trusts nothing in the file: a hostile header gives an Error naming file and
// tensor, never a crash, an out-of-range read or an allocation larger than the header. Byte order is little-endian on
// every machine the project supports. docs/checkpoint.md describes the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"

namespace dtcalc::safetensors {

/// In ascending order of the reference implementation, which writes a file's tensors in descending order.
enum class Type : std::uint8_t { boolean, u8, f16, bf16, i32, f32, f64, i64 };

/// Bytes of one element.
std::size_t element_bytes(Type type);
/// The format's own spelling: `F32`, `BF16`, `BOOL`.
std::string_view name(Type type);

/// A tensor in memory, row-major; the data is not owned.
struct TensorView {
  std::string name;
  Type type = Type::f32;
  std::vector<std::int64_t> shape;  ///< empty: a scalar
  std::span<const std::byte> data;
};

/// The same as a destination for reading.
struct TensorTarget {
  std::string name;
  Type type = Type::f32;
  std::vector<std::int64_t> shape;
  std::span<std::byte> data;
};

/// A tensor in a file: bytes [begin, end) of the data section.
struct Entry {
  std::string name;
  Type type = Type::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Index {
  std::vector<Entry> entries;                   ///< in the order of the data, which they cover without gap or overlap
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
  std::uint64_t data_begin = 0;                 ///< file offset of the data section
};

/// The longest header that is read, as in the reference implementation.
inline constexpr std::uint64_t longest_header = 100'000'000;

/// Parses and checks the start of a file of `file_bytes` bytes. `start` must hold the length field and the whole header
/// (it may hold more). Errors name `place` and the tensor.
Result<Index> parse_index(std::span<const std::byte> start, std::uint64_t file_bytes, const std::string& place);

/// An open, checked file. Tensors are read on demand straight into the caller's memory.
class Reader {
 public:
  static Result<Reader> open(const std::filesystem::path& path);
  Reader(Reader&& other) noexcept;
  Reader& operator=(Reader&& other) noexcept;
  ~Reader();

  const Index& index() const { return index_; }
  /// The entry of that name or nullptr.
  const Entry* find(std::string_view name) const;
  /// Reads the file's raw bytes [offset, offset + target.size()); an error if it ended early.
  [[nodiscard]] std::optional<Error> read_raw(std::uint64_t offset, std::span<std::byte> target) const;
  /// Reads the tensor of the target's name; an error if it is absent or has another type or shape.
  [[nodiscard]] std::optional<Error> read(const TensorTarget& target) const;

 private:
  Reader() = default;
  std::string place_;
  int descriptor_ = -1;
  Index index_;
};

/// Takes the pieces of a file in order: first the header (`piece` empty), then each tensor's data under its name.
using Sink = std::function<std::optional<Error>(std::string_view piece, std::span<const std::byte> bytes)>;

/// Writes tensors to a sink in the order of the reference implementation (types descending, then names), so that each
/// is aligned to its element. An error for a duplicate or non-UTF-8 name, or data that do not match the shape; else the
/// sink's own first error.
[[nodiscard]] std::optional<Error> write(const Sink& sink, std::span<const TensorView> tensors,
                                         const std::map<std::string, std::string>& metadata);

}  // namespace dtcalc::safetensors
