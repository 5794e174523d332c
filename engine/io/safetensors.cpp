#include "engine/io/safetensors.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/io/safetensors_header.hpp"
#include "engine/io/system_error.hpp"

namespace dtcalc::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "the data section is copied as it lies in memory");

struct TypeRow {
  Type type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<TypeRow, 8> types{{{Type::boolean, "BOOL", 1},
                                        {Type::u8, "U8", 1},
                                        {Type::f16, "F16", 2},
                                        {Type::bf16, "BF16", 2},
                                        {Type::i32, "I32", 4},
                                        {Type::f32, "F32", 4},
                                        {Type::f64, "F64", 8},
                                        {Type::i64, "I64", 8}}};

constexpr std::size_t length_bytes = 8;

std::string tensor_place(const std::string& place, std::string_view tensor) {
  return fmt::format("{}: tensor \"{}\"", place, tensor);
}

constexpr const char* damaged = "the file is damaged or was not written as safetensors; write or download it again";

/// Bytes of a tensor or nothing if the product does not fit.
std::optional<std::uint64_t> tensor_bytes(Type type, const std::vector<std::int64_t>& shape) {
  // A zero anywhere makes the product zero, even if the other sizes alone would overflow.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t bytes = element_bytes(type);
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  }
  return bytes;
}

/// A tensor of the header with its type and sizes checked.
Result<Entry> check_entry(const HeaderEntry& raw, const std::string& place) {
  const std::string where = tensor_place(place, raw.name);
  if (!raw.has_dtype || !raw.has_shape || raw.offsets.size() != 2) {
    return Error{where, "", "lacks dtype, shape or data_offsets", damaged};
  }
  const auto row = std::find_if(types.begin(), types.end(), [&](const TypeRow& t) { return t.name == raw.dtype; });
  if (row == types.end()) {
    return Error{where + " dtype", raw.dtype, "is not a known element type",
                 "convert the tensor to F64, F32, F16, BF16, I64, I32, U8 or BOOL"};
  }
  Entry entry{raw.name, row->type, {}, raw.offsets[0], raw.offsets[1]};
  for (const std::uint64_t size : raw.shape) {
    if (!std::in_range<std::int64_t>(size)) {
      return Error{where + " shape", std::to_string(size), "is too large a size", damaged};
    }
    entry.shape.push_back(static_cast<std::int64_t>(size));
  }
  if (entry.begin > entry.end) {
    return Error{where + " data_offsets", fmt::format("[{}, {}]", entry.begin, entry.end), "end before they begin",
                 damaged};
  }
  const std::optional<std::uint64_t> bytes = tensor_bytes(entry.type, entry.shape);
  if (!bytes || *bytes != entry.end - entry.begin) {
    return Error{where + " data_offsets", fmt::format("[{}, {}]", entry.begin, entry.end),
                 fmt::format("span {} bytes, but {} of shape [{}] takes {}", entry.end - entry.begin, row->name,
                             fmt::join(entry.shape, ", "), bytes ? std::to_string(*bytes) : "more than 2^64"),
                 damaged};
  }
  return entry;
}

/// The entries must tile the data section: sorted by offset, each begins where the one before ends.
std::optional<Error> check_tiling(const std::vector<Entry>& entries, std::uint64_t data_bytes,
                                  const std::string& place) {
  std::uint64_t position = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != position) {
      return Error{tensor_place(place, entry.name) + " data_offsets", fmt::format("[{}, {}]", entry.begin, entry.end),
                   fmt::format("{} the tensor before, which ends at {}",
                               entry.begin < position ? "overlap" : "leave a gap after", position),
                   damaged};
    }
    if (entry.end > data_bytes) {
      return Error{tensor_place(place, entry.name) + " data_offsets", fmt::format("[{}, {}]", entry.begin, entry.end),
                   fmt::format("reach beyond the data section of {} bytes", data_bytes),
                   "the file was cut off; write or download it again"};
    }
    position = entry.end;
  }
  if (position != data_bytes) {
    return Error{place, "", fmt::format("has {} bytes after the last tensor", data_bytes - position), damaged};
  }
  return std::nullopt;
}

}  // namespace

std::size_t element_bytes(Type type) { return types[static_cast<std::size_t>(type)].bytes; }
std::string_view name(Type type) { return types[static_cast<std::size_t>(type)].name; }

Result<Index> parse_index(std::span<const std::byte> start, std::uint64_t file_bytes, const std::string& place) {
  if (file_bytes < length_bytes || start.size() < length_bytes) {
    return Error{place, "", fmt::format("has {} bytes, not even the 8 of the header's length", file_bytes), damaged};
  }
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, start.data(), length_bytes);
  if (header_bytes > longest_header) {
    return Error{place, std::to_string(header_bytes),
                 fmt::format("as the header's length is beyond the format's limit of {}", longest_header), damaged};
  }
  if (header_bytes > file_bytes - length_bytes || header_bytes > start.size() - length_bytes) {
    return Error{place, std::to_string(header_bytes),
                 fmt::format("as the header's length is beyond the file's {} bytes", file_bytes), damaged};
  }
  const std::span<const std::byte> text = start.subspan(length_bytes, header_bytes);
  Header header;
  if (const std::optional<std::string> problem = parse_header(text, header)) {
    return Error{place + ": header", "", *problem, damaged};
  }

  Index index;
  index.metadata = std::move(header.metadata);
  index.data_begin = length_bytes + header_bytes;
  std::set<std::string_view> names;
  for (const HeaderEntry& raw : header.entries) {
    if (!names.insert(raw.name).second) {
      return Error{tensor_place(place, raw.name), "", "appears twice in the header", damaged};
    }
    Result<Entry> entry = check_entry(raw, place);
    if (!entry) return entry.errors();
    index.entries.push_back(std::move(entry).value());
  }
  std::stable_sort(index.entries.begin(), index.entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  if (auto error = check_tiling(index.entries, file_bytes - index.data_begin, place)) return *error;
  return index;
}

Result<Reader> Reader::open(const std::filesystem::path& path) {
  Reader reader;
  reader.place_ = path.string();
  reader.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a named pipe must not hang
  if (reader.descriptor_ < 0) return system_error(reader.place_, "opened", errno);
  struct stat status {};
  if (::fstat(reader.descriptor_, &status) != 0) return system_error(reader.place_, "read", errno);
  if (!S_ISREG(status.st_mode)) return Error{reader.place_, "", "is not a regular file", "give a safetensors file"};
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);

  // The header's length is checked before memory is taken for it.
  std::vector<std::byte> start(std::min<std::uint64_t>(length_bytes, file_bytes));
  if (auto error = reader.read_raw(0, start)) return *error;
  if (start.size() == length_bytes) {
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, start.data(), length_bytes);
    if (header_bytes <= longest_header && header_bytes <= file_bytes - length_bytes) {
      start.resize(length_bytes + header_bytes);
      if (auto error = reader.read_raw(0, start)) return *error;
    }
  }
  Result<Index> index = parse_index(start, file_bytes, reader.place_);
  if (!index) return index.errors();
  reader.index_ = std::move(index).value();
  return reader;
}

Reader::Reader(Reader&& other) noexcept
    : place_(std::move(other.place_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      index_(std::move(other.index_)) {}

Reader& Reader::operator=(Reader&& other) noexcept {
  std::swap(place_, other.place_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(index_, other.index_);
  return *this;
}

Reader::~Reader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

const Entry* Reader::find(std::string_view wanted) const {
  for (const Entry& entry : index_.entries) {
    if (entry.name == wanted) return &entry;
  }
  return nullptr;
}

std::optional<Error> Reader::read_raw(std::uint64_t offset, std::span<std::byte> target) const {
  while (!target.empty()) {
    const ssize_t count = ::pread(descriptor_, target.data(), target.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(place_, "read", errno);
    if (count == 0) {
      return Error{place_, "", fmt::format("ends at byte {}, {} too early", offset, target.size()),
                   "the file was cut off; write or download it again"};
    }
    offset += static_cast<std::uint64_t>(count);
    target = target.subspan(static_cast<std::size_t>(count));
  }
  return std::nullopt;
}

std::optional<Error> Reader::read(const TensorTarget& target) const {
  const Entry* entry = find(target.name);
  if (entry == nullptr) {
    return Error{tensor_place(place_, target.name), "", "is not in the file", "use a file written for this model"};
  }
  if (entry->type != target.type || entry->shape != target.shape) {
    return Error{tensor_place(place_, target.name),
                 fmt::format("{} [{}]", safetensors::name(entry->type), fmt::join(entry->shape, ", ")),
                 fmt::format("does not match the model's {} [{}]", safetensors::name(target.type),
                             fmt::join(target.shape, ", ")),
                 "use a file written for this model"};
  }
  if (target.data.size() != entry->end - entry->begin) {
    throw std::logic_error(tensor_place(place_, target.name) + ": the target's memory does not match its shape");
  }
  return read_raw(index_.data_begin + entry->begin, target.data);
}

std::optional<Error> write(const Sink& sink, std::span<const TensorView> tensors,
                           const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return a->type != b->type ? a->type > b->type : a->name < b->name;
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const TensorView* tensor : order) {
    const std::optional<std::uint64_t> bytes = tensor_bytes(tensor->type, tensor->shape);
    if (!bytes || *bytes != tensor->data.size()) {
      return Error{tensor->name, "", fmt::format("holds {} bytes, which do not match its shape", tensor->data.size()),
                   ""};
    }
    if (tensor->name == "__metadata__" || header.contains(tensor->name)) {
      return Error{tensor->name, "", "is reserved or names two tensors of one file", "give each tensor its own name"};
    }
    header[tensor->name] = {
        {"dtype", name(tensor->type)}, {"shape", tensor->shape}, {"data_offsets", {position, position + *bytes}}};
    position += *bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    return Error{"safetensors header", "", "holds a name or metadata that is not UTF-8", "rename the tensor"};
  }
  text.append((length_bytes - text.size() % length_bytes) % length_bytes, ' ');  // the data begin aligned
  if (text.size() > longest_header) {
    return Error{"safetensors header", std::to_string(text.size()), "bytes are beyond the format's limit",
                 "write fewer tensors per file"};
  }
  std::vector<std::byte> start(length_bytes + text.size());
  const std::uint64_t header_bytes = text.size();
  std::memcpy(start.data(), &header_bytes, length_bytes);
  std::memcpy(start.data() + length_bytes, text.data(), text.size());
  if (auto error = sink("", start)) return error;
  for (const TensorView* tensor : order) {
    if (auto error = sink(tensor->name, tensor->data)) return error;
  }
  return std::nullopt;
}

}  // namespace dtcalc::safetensors
