#include "gui/models/evaluation.hpp"

#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::gui {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A document that has a scenario's sections; a profile or a Hugging Face config has none.
bool is_scenario(const json& document) {
  if (!document.is_object()) return false;
  for (const std::string_view section : sections())
    if (document.contains(section)) return true;
  return false;
}

}  // namespace

Result<std::shared_ptr<const Evaluation>> evaluate_document(const Document& document) {
  Result<Scenario> scenario = load_scenario(*document.json, {data_dir(), document.base});
  if (!scenario) return scenario.errors();
  auto evaluation = std::make_shared<Evaluation>();
  evaluation->scenario = std::move(scenario).value();
  evaluation->estimate = report::estimate(evaluation->scenario);
  evaluation->json =
      std::make_shared<const nlohmann::ordered_json>(report::to_json(evaluation->estimate, /*operators=*/false));
  return std::shared_ptr<const Evaluation>(std::move(evaluation));
}

Result<Document> open_document(const fs::path& file, const Document& present) {
  Result<json> content = read_json_file(file);
  if (!content) return content.errors();
  const fs::path absolute = fs::absolute(file);
  if (is_scenario(*content))
    return Document{std::make_shared<const json>(std::move(content).value()), absolute.parent_path()};
  json changed = *present.json;
  changed["model"] = absolute.string();
  return Document{std::make_shared<const json>(std::move(changed)), present.base};
}

std::string estimate_text(const Evaluation& evaluation) { return evaluation.json->dump(2) + "\n"; }

}  // namespace dtcalc::gui
