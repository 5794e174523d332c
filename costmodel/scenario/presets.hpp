// Presets by name: models, devices, software profiles, clusters and published tables as JSON files below the data
// folder.
//
// The data folder holds `presets/models/*.json`, `hardware/*.json`, `hardware/clusters/*.json`,
// `presets/software/*.json` and `presets/published/*.json`; a preset's name is its file's name. Called by the loaders
// and by `dtcalc presets`.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Where names and relative paths are looked up.
struct Folders {
  std::filesystem::path data;  ///< holds presets/ and hardware/
  std::filesystem::path base;  ///< relative paths in a document start here; empty is the working directory
};

enum class PresetKind : std::uint8_t { model, hardware, software, cluster, published };

struct Preset {
  std::string name;
  std::string summary;  ///< one line made from its figures
  std::filesystem::path file;
};

std::string_view name_of(PresetKind kind);

/// The presets of a kind, by name.
std::vector<Preset> list_presets(PresetKind kind, const std::filesystem::path& data);

/// Whether it is the path of a file rather than a preset's name.
bool is_path(const std::string& name_or_path);

/// The file that `name_or_path` means: a preset's name, a path of a file, or (models) of a folder with a config.json.
/// An unknown name is an Error at `place` that lists the nearest or all names; a missing file is one of kind `file`.
Result<std::filesystem::path> find_preset(PresetKind kind, const std::string& name_or_path, const Folders& folders,
                                          const std::string& place);

}  // namespace dtcalc
