#include "engine/train/hf_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/io/atomic.hpp"
#include "engine/io/system_error.hpp"
#include "engine/train/hf_layout.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;
using safetensors::Entry;
using safetensors::Reader;
using safetensors::Type;

/// IEEE binary16.
float half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  float magnitude = 0;
  if (exponent == 31)
    magnitude = fraction == 0 ? HUGE_VALF : std::nanf("");
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  else
    magnitude = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

template <class T>
T element(const std::byte* data, std::size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

double value_of(Type type, const std::byte* data, std::size_t i) {
  switch (type) {
    case Type::f64:
      return element<double>(data, i);
    case Type::f16:
      return static_cast<double>(half_value(element<std::uint16_t>(data, i)));
    case Type::bf16:
      return static_cast<double>(
          std::bit_cast<float>(static_cast<std::uint32_t>(element<std::uint16_t>(data, i)) << 16));
    default:
      return static_cast<double>(element<float>(data, i));
  }
}

void put(const safetensors::TensorTarget& target, std::size_t i, double value) {
  const float narrow = static_cast<float>(value);
  if (target.type == Type::f64)
    std::memcpy(target.data.data() + i * sizeof(double), &value, sizeof(double));
  else
    std::memcpy(target.data.data() + i * sizeof(float), &narrow, sizeof(float));
}

/// Calls f(element of the file, parameter, element of the parameter) for every element of a tensor.
template <class F>
void for_elements(const HfTensor& tensor, const ModelWeights& w, F&& f) {
  std::int64_t rows = 0, above = 0;
  for (const std::size_t part : tensor.parts)
    rows += w.views[part].elements / std::max<std::int64_t>(1, w.views[part].columns);
  for (const std::size_t part : tensor.parts) {
    const std::int64_t columns = std::max<std::int64_t>(1, w.views[part].columns);
    const std::int64_t own = w.views[part].elements / columns;
    for (std::int64_t row = 0; row < own; ++row) {
      const std::int64_t there = above + (tensor.rotary ? rotary_row(w.model, row) : row);
      for (std::int64_t column = 0; column < columns; ++column)
        f(static_cast<std::size_t>(tensor.transposed ? column * rows + there : there * columns + column), part,
          static_cast<std::size_t>(row * columns + column));
    }
    above += own;
  }
}

std::vector<std::int64_t> shape_of(const HfTensor& tensor, const ModelWeights& w) {
  const std::int64_t columns = w.views[tensor.parts.front()].columns;
  std::int64_t rows = 0;
  for (const std::size_t part : tensor.parts) rows += w.views[part].elements / std::max<std::int64_t>(1, columns);
  if (columns == 0) return {rows};
  return tensor.transposed ? std::vector{columns, rows} : std::vector{rows, columns};
}

Result<std::vector<Reader>> open_files(const fs::path& path) {
  std::vector<fs::path> files;
  std::error_code problem;
  if (fs::is_directory(path, problem)) {
    for (fs::directory_iterator entry(path, problem), end; !problem && entry != end; entry.increment(problem))
      if (entry->path().extension() == ".safetensors") files.push_back(entry->path());
    if (problem) return system_error(path.string(), "read", problem.value());
    if (files.empty())
      return Error{path.string(), "", "holds no *.safetensors", "name the file or the folder of a model's weights",
                   ErrorKind::file};
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
  }
  std::vector<Reader> readers;
  for (const fs::path& file : files) {
    auto reader = Reader::open(file);
    if (!reader) return reader.errors();
    readers.push_back(std::move(reader).value());
  }
  return readers;
}

struct Found {
  const Reader* reader;
  const Entry* entry;
};

std::optional<Error> load_tensor(const std::string& place, const Found& found, const HfTensor& tensor,
                                 const ModelWeights& w) {
  const Entry& entry = *found.entry;
  const std::string where = fmt::format("{}: tensor \"{}\"", place, entry.name);
  if (entry.type != Type::f32 && entry.type != Type::f16 && entry.type != Type::bf16 && entry.type != Type::f64)
    return Error{where, std::string(safetensors::name(entry.type)), "is no floating-point type",
                 "use weights in F32, F16 or BF16"};
  if (const auto shape = shape_of(tensor, w); entry.shape != shape)
    return Error{where, fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                 fmt::format("the model's shape is [{}]", fmt::join(shape, ", ")),
                 "give the model that the weights belong to, for instance with --model config.json"};
  std::vector<std::byte> data(entry.end - entry.begin);
  if (auto error = found.reader->read_raw(found.reader->index().data_begin + entry.begin, data)) return error;
  for_elements(tensor, w, [&](std::size_t from, std::size_t part, std::size_t to) {
    put(w.tensors[part], to, value_of(entry.type, data.data(), from));
  });
  return std::nullopt;
}

/// Buffers that old files of transformers hold beside the weights: masks and rotary frequencies; and a tied head.
bool is_no_weight(const std::string& name, const Model& model) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq") || (model.tied_embeddings && name == "lm_head.weight");
}

}  // namespace

std::optional<Error> load_hf_weights(const fs::path& path, const ModelWeights& w) {
  const auto layout = hf_layout(w.model, w.views);
  if (!layout) return layout.errors().front();
  const auto readers = open_files(path);
  if (!readers) return readers.errors().front();
  std::map<std::string, Found> entries;
  for (const Reader& reader : *readers)
    for (const Entry& entry : reader.index().entries) entries[short_name(entry.name)] = {&reader, &entry};
  for (const HfTensor& tensor : *layout) {
    const auto found = entries.find(short_name(tensor.name));
    if (found == entries.end())
      return Error{path.string(), tensor.name, "is missing",
                   "give the model that the weights belong to, for instance with --model config.json"};
    if (auto error = load_tensor(path.string(), found->second, tensor, w)) return error;
    entries.erase(found);
  }
  for (const auto& [name, found] : entries)
    if (!is_no_weight(name, w.model))
      return Error{path.string(), found.entry->name, "is no weight of the model",
                   "give the model that the weights belong to, for instance with --model config.json"};
  return std::nullopt;
}

std::optional<Error> save_hf_weights(const fs::path& folder, const ModelWeights& w) {
  const auto layout = hf_layout(w.model, w.views);
  if (!layout) return layout.errors().front();
  const auto config = hf_config_of(w.model);
  if (!config) return config.errors().front();
  std::vector<std::vector<float>> data;
  std::vector<safetensors::TensorView> tensors;
  for (const HfTensor& tensor : *layout) {
    std::size_t elements = 0;
    for (const std::size_t part : tensor.parts) elements += static_cast<std::size_t>(w.views[part].elements);
    std::vector<float>& values = data.emplace_back(elements);
    for_elements(tensor, w, [&](std::size_t to, std::size_t part, std::size_t from) {
      values[to] = static_cast<float>(value_of(w.tensors[part].type, w.tensors[part].data.data(), from));
    });
    tensors.push_back({tensor.name, Type::f32, shape_of(tensor, w), std::as_bytes(std::span(values))});
  }
  auto writer = FolderWriter::begin(folder);
  if (!writer) return writer.errors().front();
  auto file = writer->create("model.safetensors");
  if (!file) return file.errors().front();
  const auto sink = [&](std::string_view, std::span<const std::byte> bytes) { return file->write(bytes); };
  if (auto error = safetensors::write(sink, tensors, {{"format", "pt"}})) return error;
  if (auto error = file->finish()) return error;
  auto text = writer->create("config.json");
  if (!text) return text.errors().front();
  if (auto error = text->write(config->dump(2) + "\n")) return error;
  if (auto error = text->finish()) return error;
  return writer->commit();
}

}  // namespace dtcalc
