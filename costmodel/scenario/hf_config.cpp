#include "costmodel/scenario/hf_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/hf_families.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::json;

/// The ranges of the field table hold for configurations too.
void check_ranges(const Model& model, const std::string& name, std::vector<Error>& errors) {
  Scenario scenario;
  scenario.model = model;
  Scenario scratch;
  for (const Field& field : fields())
    if (field.info.pointer.starts_with("/model/"))
      field.read(field.write(scenario), field.info, name + " → " + std::string(field.info.pointer), scratch, errors);
}

}  // namespace

bool is_hf_config(const json& document) { return document.is_object() && document.contains("model_type"); }

std::vector<std::string_view> hf_model_types() {
  std::vector<std::string_view> names;
  for (const HfFamily& family : hf_families()) names.push_back(family.model_type);
  return names;
}

Result<Model> model_from_hf_config(const json& document, const std::string& name) {
  const std::string place = name + "#";
  std::vector<std::string> known;
  for (const std::string_view type : hf_model_types()) known.emplace_back(type);
  if (!is_hf_config(document) || !document["model_type"].is_string())
    return Error{place + "/model_type", is_hf_config(document) ? shown(document["model_type"]) : "",
                 "is not the name of a model family", "use " + listed(known)};
  const std::string type = document["model_type"].get<std::string>();
  const auto families = hf_families();
  const auto family =
      std::find_if(families.begin(), families.end(), [&](const HfFamily& f) { return f.model_type == type; });
  if (family == families.end()) {
    const std::string near = nearest(type, known);
    const bool whole = document.contains("text_config");
    return Error{place + "/model_type", shown(json(type)), "is a model family that is not modelled",
                 fmt::format("{}{}modelled are {}", whole ? "give its text_config as a file of its own; " : "",
                             near.empty() ? "" : fmt::format("nearest is {}; ", near), listed(known))};
  }
  HfReader reader(document, place);
  Model model = family->read(reader);
  if (model.embedding_scale == 0) model.embedding_scale = std::sqrt(static_cast<double>(model.hidden_size));
  reader.refuse_rest(type);
  if (reader.errors().empty()) check_ranges(model, name, reader.errors());
  if (!reader.errors().empty()) return std::move(reader.errors());
  model.source = fmt::format("Hugging Face configuration, model_type {}", type);
  return model;
}

}  // namespace dtcalc
