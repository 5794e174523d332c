// From a JSON document to a checked Scenario. Called by every verb of the command line, by the GUI and by tests.
//
// A document has the sections model, hardware, software, cluster, training, inference and the key attention. The first
// four may each be a string (preset name or path; for model also a Hugging Face config.json) or an
// object, which may start from {"preset": name or path}. Later wins: field defaults, preset, document, overrides. All
// errors are reported at once, each with its JSON pointer.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"
#include "costmodel/scenario/presets.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The document with overrides `path=value` applied: dotted or slashed path, value read as JSON and else as text.
/// An override below a section that names a preset keeps the preset: "x" becomes {"preset": "x", …}.
Result<nlohmann::json> apply_overrides(nlohmann::json document, std::span<const std::string> overrides);

/// A checked scenario with all defaults resolved.
Result<Scenario> load_scenario(const nlohmann::json& document, const Folders& folders,
                               std::span<const std::string> overrides = {});

/// The same from a file; relative paths in it start at its folder.
Result<Scenario> load_scenario_file(const std::filesystem::path& file, const std::filesystem::path& data,
                                    std::span<const std::string> overrides = {});

/// `--model NAME|FILE --hardware NAME|FILE` without a scenario file.
Result<Scenario> load_scenario_named(const std::string& model, const std::string& hardware,
                                     const std::filesystem::path& data, std::span<const std::string> overrides = {});

/// One part alone, by preset name or path, checked and resolved as in a scenario.
Result<Model> load_model(const std::string& name_or_path, const Folders& folders);
Result<Device> load_device(const std::string& name_or_path, const Folders& folders);
Result<Software> load_software(const std::string& name_or_path, const Folders& folders);
Result<Cluster> load_cluster(const std::string& name_or_path, const Folders& folders);

}  // namespace dtcalc
