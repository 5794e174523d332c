#include "costmodel/scenario/presets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;

fs::path folder(PresetKind kind, const fs::path& data) {
  switch (kind) {
    case PresetKind::model:
      return data / "presets" / "models";
    case PresetKind::hardware:
      return data / "hardware";
    case PresetKind::software:
      return data / "presets" / "software";
    case PresetKind::cluster:
      return data / "hardware" / "clusters";
    case PresetKind::published:
      return data / "presets" / "published";
  }
  return data;
}

std::vector<fs::path> json_files(const fs::path& where) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(where, code), end; !code && entry != end; entry.increment(code))
    if (entry->path().extension() == ".json") files.push_back(entry->path());
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) { return a.stem() < b.stem(); });
  return files;
}

std::string summary(const Model& model) {
  return fmt::format("{} layers, hidden {}, {} heads ({} KV), vocabulary {}, {}, {}{}", model.layers, model.hidden_size,
                     model.heads, model.kv_heads, model.vocabulary_size, name_of(model.norm), name_of(model.activation),
                     model.gated_mlp ? " gated" : "");
}

std::string summary(const Device& device) {
  std::string text = device.name;
  if (!device.compute.empty()) {
    const Dtype dtype = device.rate(Dtype::bf16).value() > 0   ? Dtype::bf16
                        : device.rate(Dtype::fp16).value() > 0 ? Dtype::fp16
                                                               : Dtype::fp32;
    text += fmt::format(", {} {:.4g} TFLOP/s", name_of(dtype), device.rate(dtype).value() / 1e12);
  }
  return text + fmt::format(", {:.4g} TB/s, {:.1f} GiB", device.memory_bandwidth.value() / 1e12,
                            static_cast<double>(device.memory.value()) / static_cast<double>((1_GiB).value()));
}

std::string summary(const Cluster& cluster) {
  std::string text = fmt::format("{} x {} devices", cluster.nodes, cluster.devices_per_node);
  if (cluster.link_bandwidth.value() > 0)
    text += fmt::format(", links {:.4g} GB/s", cluster.link_bandwidth.value() / 1e9);
  if (cluster.switch_efficiency > 0) text += ", the switch reduces";
  if (cluster.nic_bandwidth.value() > 0)
    text += fmt::format(", {} NICs of {:.4g} GB/s a node",
                        cluster.nics_per_node > 0 ? cluster.nics_per_node : cluster.devices_per_node,
                        cluster.nic_bandwidth.value() / 1e9);
  return text;
}

/// The first sentence of the notes.
std::string summary(const Software& software) {
  const auto end = software.notes.find(". ");
  return end == std::string::npos ? software.notes : software.notes.substr(0, end + 1);
}

/// Rows and title of a published table; `validate --published` checks the rest of it.
std::string summary_of_table(const fs::path& file) {
  const Result<nlohmann::json> content = read_json_file(file);
  if (!content) return describe(content.errors().front());
  if (!content->is_object() || !content->contains("title") || !content->contains("rows")) return "no published table";
  const nlohmann::json& title = (*content)["title"];
  return fmt::format("{} rows: {}", (*content)["rows"].size(), title.is_string() ? title.get<std::string>() : "");
}

template <class T>
std::string summary_or_error(const Result<T>& loaded) {
  return loaded ? summary(*loaded) : describe(loaded.errors().front());
}

}  // namespace

std::string_view name_of(PresetKind kind) {
  switch (kind) {
    case PresetKind::model:
      return "model";
    case PresetKind::hardware:
      return "hardware";
    case PresetKind::software:
      return "software";
    case PresetKind::cluster:
      return "cluster";
    case PresetKind::published:
      return "published";
  }
  return "";
}

std::vector<Preset> list_presets(PresetKind kind, const fs::path& data) {
  std::vector<Preset> presets;
  const Folders folders{data, {}};
  for (const fs::path& file : json_files(folder(kind, data))) {
    const std::string name = file.stem().string();
    switch (kind) {
      case PresetKind::model:
        presets.push_back({name, summary_or_error(load_model(name, folders)), file});
        break;
      case PresetKind::hardware:
        presets.push_back({name, summary_or_error(load_device(name, folders)), file});
        break;
      case PresetKind::software:
        presets.push_back({name, summary_or_error(load_software(name, folders)), file});
        break;
      case PresetKind::cluster:
        presets.push_back({name, summary_or_error(load_cluster(name, folders)), file});
        break;
      case PresetKind::published:
        presets.push_back({name, summary_of_table(file), file});
        break;
    }
  }
  return presets;
}

bool is_path(const std::string& name_or_path) {
  const fs::path written(name_or_path);
  return written.has_parent_path() || written.extension() == ".json";
}

Result<fs::path> find_preset(PresetKind kind, const std::string& name_or_path, const Folders& folders,
                             const std::string& place) {
  const std::string value = shown(nlohmann::json(name_or_path));
  if (!is_path(name_or_path)) {
    std::vector<std::string> names;
    for (const fs::path& file : json_files(folder(kind, folders.data))) {
      names.push_back(file.stem().string());
      if (names.back() == name_or_path) return file;
    }
    if (names.empty())
      return Error{place, value,
                   fmt::format("cannot be looked up: {} holds no presets", folder(kind, folders.data).string()),
                   "point to the folder of the program's data", ErrorKind::file};
    std::vector<std::string> longer;
    std::copy_if(names.begin(), names.end(), std::back_inserter(longer),
                 [&](const std::string& name) { return !name_or_path.empty() && name.starts_with(name_or_path); });
    const std::string near = longer.empty() ? nearest(name_or_path, names) : listed(longer);
    return Error{
        place, value, fmt::format("is not a known {} preset", name_of(kind)),
        near.empty() ? "use " + listed(names) + ", or the path of a .json file" : "did you mean " + near + "?"};
  }
  std::error_code code;
  const fs::path written(name_or_path);
  fs::path file = written.is_absolute() || folders.base.empty() ? written : folders.base / written;
  if (kind == PresetKind::model && fs::is_directory(file, code)) file /= "config.json";
  if (!fs::exists(file, code))
    return Error{place, value, fmt::format("names a file that does not exist ({})", file.string()),
                 "give the path of a readable JSON file", ErrorKind::file};
  return file;
}

}  // namespace dtcalc
