#include "costmodel/scenario/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "costmodel/evaluate/measured_rates.hpp"
#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/draft.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/hf_config.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The keys that may stand directly below `pointer`, from the field table.
std::vector<std::string> children(const std::string& pointer) {
  std::vector<std::string> keys;
  const std::string prefix = pointer + "/";
  for (const Field& field : fields()) {
    if (!field.info.pointer.starts_with(prefix)) continue;
    const std::string_view rest = field.info.pointer.substr(prefix.size());
    std::string key(rest.substr(0, rest.find('/')));
    if (keys.empty() || keys.back() != key) keys.push_back(std::move(key));
  }
  return keys;
}

PresetKind kind_of(std::string_view section) {
  if (section == "model") return PresetKind::model;
  if (section == "hardware") return PresetKind::hardware;
  return section == "cluster" ? PresetKind::cluster : PresetKind::software;
}

/// Reads a document section by section into one scenario and collects every error on the way.
class Reader {
 public:
  explicit Reader(const Folders& folders) : folders_(folders) {}

  void read_document(const json& document) {
    if (!document.is_object()) {
      errors.push_back({"/", shown(document), "is not an object", "write {\"model\": …, \"hardware\": …}"});
      for (const std::string_view section : sections()) given.faulty.insert(fmt::format("/{}", section));
      return;
    }
    for (const auto& [key, value] : document.items()) {
      const auto names = sections();
      if (key == "$schema" || std::find(names.begin(), names.end(), key) != names.end()) continue;
      read_key(key, value, "", "");
    }
    read_preset_section("model", document, "");
    read_preset_section("hardware", document, "");
    read_preset_section("software", document,
                        scenario.hardware.kind == "cpu" ? std::string("dtcalc-cpu") : std::string("dtcalc-cuda"));
    if (document.contains("cluster")) read_preset_section("cluster", document, "");
    for (const std::string_view section : sections().subspan(preset_sections().size()))
      if (const auto found = document.find(section); found != document.end())
        read_object(*found, fmt::format("/{}", section), fmt::format("/{}", section));
    scenario.has_training = document.contains("training");
    scenario.has_inference = document.contains("inference");
    if (!scenario.has_inference) scenario.has_training = true;
  }

  /// A section that is a preset's name, a path, or an object that may start from one. `fallback` is the preset used
  /// when none is named; empty: for an object its keys stand alone, and an absent section is an error.
  void read_preset_section(const std::string& section, const json& document, const std::string& fallback) {
    const std::string pointer = fmt::format("/{}", section);
    const auto found = document.find(section);
    if (found == document.end()) {
      if (fallback.empty())
        fail({pointer, "", "is missing",
              fmt::format("name a preset (dtcalc presets lists them) or a file: \"{}\": \"{}\"", section,
                          section == "model" ? "gpt2-124m" : "a100-80-sxm")},
             pointer);
      else
        read_preset(section, fallback, pointer);
    } else if (found->is_string()) {
      read_preset(section, found->get<std::string>(), pointer);
    } else if (!found->is_object()) {
      fail({pointer, shown(*found), fmt::format("is a{} {}", found->is_array() ? "n" : "", found->type_name()),
            "give a preset's name, a path, or an object"},
           pointer);
    } else {
      if (const auto preset = found->find("preset"); preset == found->end()) {
        if (!fallback.empty()) read_preset(section, fallback, pointer);
      } else if (preset->is_string()) {
        read_preset(section, preset->get<std::string>(), pointer + "/preset");
      } else {
        fail({pointer + "/preset", shown(*preset), "is not a text", "give a preset's name or a path"}, pointer);
      }
      read_object(*found, pointer, pointer);
    }
  }

  void read_preset(const std::string& section, const std::string& name_or_path, const std::string& place) {
    const std::string pointer = fmt::format("/{}", section);
    const Result<fs::path> file = find_preset(kind_of(section), name_or_path, folders_, place);
    if (!file) return fail(file.errors(), pointer);
    const Result<json> content = read_json_file(*file);
    if (!content) return fail(content.errors(), pointer);
    const std::string stem = file->filename() == "config.json" && file->has_parent_path()
                                 ? file->parent_path().filename().string()
                                 : file->stem().string();
    if (section == "model" && is_hf_config(*content)) {
      Result<Model> model = model_from_hf_config(*content, file->string());
      if (!model) return fail(model.errors(), pointer);
      scenario.model = std::move(model).value();
    } else if (content->is_object() && content->contains(section)) {
      return fail({file->string(), "", fmt::format("is a scenario, not a {} alone", section),
                   fmt::format("give it as the scenario file, or a file with the keys of its {} section", section)},
                  pointer);
    } else if (content->is_object() && content->contains("preset")) {
      return fail({file->string() + "#/preset", shown((*content)["preset"]), "cannot stand in a profile",
                   "let the profile say every figure, or name the preset in the scenario"},
                  pointer);
    } else {
      read_object(*content, pointer, file->string() + "#");
    }
    std::string& name = section == "model"      ? scenario.model.name
                        : section == "hardware" ? scenario.hardware.id
                        : section == "cluster"  ? scenario.cluster.id
                                                : scenario.software.id;
    if (!given.pointers.contains(pointer + (section == "model" ? "/name" : "/id"))) name = stem;
  }

  Given given;
  std::vector<Error> errors;
  Scenario scenario;

 private:
  void fail(Error error, const std::string& pointer) {
    errors.push_back(std::move(error));
    given.faulty.insert(pointer);
  }
  void fail(const std::vector<Error>& more, const std::string& pointer) {
    errors.insert(errors.end(), more.begin(), more.end());
    given.faulty.insert(pointer);
  }

  /// All keys of an object that stands at `pointer` of the scenario and is called `place` in messages.
  void read_object(const json& object, const std::string& pointer, const std::string& place) {
    if (!object.is_object())
      return fail({place, shown(object), "is not an object", "give the keys " + listed(children(pointer))}, pointer);
    for (const auto& [key, value] : object.items()) {
      const bool starting_point = key == "preset" && place == pointer && is_preset_section(pointer);
      if (!starting_point && key != "$schema") read_key(key, value, pointer, place);
    }
  }

  void read_key(const std::string& key, const json& value, const std::string& pointer, const std::string& place) {
    const std::string here = pointer + "/" + pointer_step(key);
    const std::string shown_place = place + "/" + pointer_step(key);
    if (const Field* field = find_field(here)) {
      given.pointers.insert(here);
      if (!field->read(value, field->info, shown_place, scenario, errors)) given.faulty.insert(here);
    } else if (!children(here).empty()) {
      read_object(value, here, shown_place);
    } else {
      fail({shown_place, "", "is not a known key", way_out(key, pointer)}, shown_place);
    }
  }

  static bool is_preset_section(const std::string& pointer) {
    const auto names = preset_sections();
    return std::find(names.begin(), names.end(), std::string_view(pointer).substr(1)) != names.end();
  }

  /// The nearest key of the same object, else the same key elsewhere, else all keys.
  static std::string way_out(const std::string& key, const std::string& pointer) {
    std::vector<std::string> known = children(pointer);
    if (const std::string near = nearest(key, known); !near.empty()) return "did you mean " + near + "?";
    for (const Field& field : fields())
      if (field.info.pointer.ends_with("/" + key)) return fmt::format("did you mean {}?", field.info.pointer);
    return "known are " + listed(known);
  }

  const Folders& folders_;
};

/// Loads what `inference.draft.model` names, relative to the scenario's folder, and tries it in the target's place.
void load_draft(Scenario& scenario, const Folders& folders, std::vector<Error>& errors) {
  constexpr const char* place = "/inference/draft/model";
  std::string& name = scenario.inference.draft.model;
  if (name.empty() || !scenario.has_inference) return;
  const Result<fs::path> file = find_preset(PresetKind::model, name, folders, place);
  Result<Model> model = file ? load_model(name, folders) : Result<Model>(file.errors());
  if (!model) {
    errors.insert(errors.end(), model.errors().begin(), model.errors().end());
    return;
  }
  if (is_path(name)) name = fs::absolute(*file).string();  // so that the resolved scenario loads from any folder
  scenario.draft = std::move(model).value();
  if (!errors.empty()) return;  // of the target, which the draft's own would repeat
  if (const Result<Scenario> drafts = drafting(scenario, *scenario.draft); !drafts)
    for (const Error& e : drafts.errors())
      errors.push_back({place, name, fmt::format("cannot draft: {}", describe(e)), "choose another draft"});
}

template <class Part>
Result<Part> load_part(const std::string& section, const std::string& name_or_path, const Folders& folders,
                       Part Scenario::*part) {
  Reader reader(folders);
  reader.read_preset(section, name_or_path, "");
  resolve(reader.scenario.model, reader.given);
  if constexpr (!std::is_same_v<Part, Software>) check(reader.scenario.*part, reader.given, reader.errors);
  if (!reader.errors.empty()) return std::move(reader.errors);
  index_measurements(reader.scenario.hardware);
  return std::move(reader.scenario.*part);
}

std::vector<std::string> steps_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  const char separator = path.find('/') != std::string_view::npos ? '/' : '.';
  std::vector<std::string> steps;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(separator, start), path.size());
    steps.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  return steps;
}

/// The value of an override: JSON where it is JSON, else the text itself.
Result<json> override_value(const std::string& text, const std::string& place) {
  Result<json> parsed = parse_json(text, place);
  if (parsed) return parsed;
  const bool meant_as_json = text.find_first_of("{[\"") == 0;
  const bool overflow = parsed.errors().front().reason.find("overflow") != std::string::npos;
  if (meant_as_json || overflow) return parsed;
  const auto valid_text = static_cast<bool>(parse_json(fmt::format("\"{}\"", text), place));
  if (!valid_text)
    return Error{place, shown(text), "is neither JSON nor plain text", "write a number, true, false or a word"};
  return json(text);
}

}  // namespace

Result<json> apply_overrides(json document, std::span<const std::string> overrides) {
  std::vector<Error> errors;
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    const std::vector<std::string> steps = steps_of(std::string_view(text).substr(0, equals));
    const bool empty_step = std::find(steps.begin(), steps.end(), "") != steps.end();
    if (equals == std::string::npos || empty_step || steps.size() > static_cast<std::size_t>(max_json_depth)) {
      errors.push_back({"--set", shown(text), "is not path=value", "write for example training.micro_batch=4"});
      continue;
    }
    const std::string place = "--set " + text.substr(0, equals);
    Result<json> value = override_value(text.substr(equals + 1), place);
    if (!value) {
      errors.insert(errors.end(), value.errors().begin(), value.errors().end());
      continue;
    }
    json* node = &document;
    for (std::size_t i = 0; i < steps.size() && node != nullptr; ++i) {
      const auto presets = preset_sections();
      if (i == 1 && node->is_string() && std::find(presets.begin(), presets.end(), steps[0]) != presets.end())
        *node = json{{"preset", *node}};
      if (node->is_null()) *node = json::object();
      if (!node->is_object()) {
        errors.push_back({place, shown(*node), "has no key " + steps[i], "set the whole value instead"});
        node = nullptr;
      } else {
        node = &(*node)[steps[i]];
      }
    }
    if (node != nullptr) *node = std::move(value).value();
  }
  if (!errors.empty()) return errors;
  return document;
}

Result<Scenario> load_scenario(const json& document, const Folders& folders, std::span<const std::string> overrides) {
  const Result<json> edited = apply_overrides(document, overrides);
  if (!edited) return edited.errors();
  Reader reader(folders);
  reader.read_document(*edited);
  resolve(reader.scenario.model, reader.given);
  resolve(reader.scenario, reader.given);
  check(reader.scenario, reader.given, reader.errors);
  load_draft(reader.scenario, folders, reader.errors);
  if (!reader.errors.empty()) return std::move(reader.errors);
  index_measurements(reader.scenario.hardware);
  return std::move(reader.scenario);
}

Result<Scenario> load_scenario_file(const fs::path& file, const fs::path& data,
                                    std::span<const std::string> overrides) {
  const Result<json> document = read_json_file(file);
  if (!document) return document.errors();
  return load_scenario(*document, {data, file.parent_path()}, overrides);
}

Result<Scenario> load_scenario_named(const std::string& model, const std::string& hardware, const fs::path& data,
                                     std::span<const std::string> overrides) {
  return load_scenario({{"model", model}, {"hardware", hardware}}, {data, {}}, overrides);
}

Result<Model> load_model(const std::string& name_or_path, const Folders& folders) {
  return load_part("model", name_or_path, folders, &Scenario::model);
}
Result<Device> load_device(const std::string& name_or_path, const Folders& folders) {
  return load_part("hardware", name_or_path, folders, &Scenario::hardware);
}
Result<Software> load_software(const std::string& name_or_path, const Folders& folders) {
  return load_part("software", name_or_path, folders, &Scenario::software);
}
Result<Cluster> load_cluster(const std::string& name_or_path, const Folders& folders) {
  return load_part("cluster", name_or_path, folders, &Scenario::cluster);
}

}  // namespace dtcalc
