// The rows of the table view: explaining all of them at once says what explaining each says, and what an input names is
// somewhere.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/load.hpp"
#include "gui/models/field.hpp"
#include "gui/models/quantities.hpp"
#include "gui/models/store.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;

namespace {

/// The first scenario, a service alone, and every preset: methods of one model and of several, image models.
std::vector<std::shared_ptr<const Evaluation>> evaluations() {
  std::vector<std::shared_ptr<const Evaluation>> all;
  const auto add = [&](const Document& document) {
    const auto evaluated = evaluate_document(document);
    REQUIRE(evaluated);
    all.push_back(*evaluated);
  };
  const State first = first_state();
  add(first.document);
  nlohmann::json service = *first.document.json;
  service.erase("training");
  add({std::make_shared<const nlohmann::json>(service), {}});
  for (const char* name : {"lora", "qlora", "dpo", "ppo", "vit", "clip"}) {
    const auto document =
        open_document(fmt::format("{}/presets/scenarios/{}.json", DTCALC_SOURCE_DIR, name), first.document);
    REQUIRE(document);
    add(*document);
  }
  return all;
}

}  // namespace

TEST_CASE("explaining all quantities at once says of each what explaining it alone says") {
  std::vector<std::string> ids{"no such quantity", "memory.total_bytes", "3.7"};
  for (const report::Explainable& each : report::explainable()) ids.push_back(each.id);
  for (const auto& evaluation : evaluations()) {
    const Scenario& scenario = evaluation->scenario;
    const auto all = report::explain_each(ids, scenario);
    REQUIRE(all.size() == ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      CAPTURE(scenario.model.name, ids[i]);
      const auto alone = report::explain(ids[i], &scenario, {});
      REQUIRE(bool(all[i]) == bool(alone));
      if (!alone) {
        CHECK(describe(all[i].errors()) == describe(alone.errors()));
        continue;
      }
      REQUIRE(all[i]->size() == alone->size());
      for (std::size_t k = 0; k < alone->size(); ++k)
        CHECK(report::to_json((*all[i])[k]).dump() == report::to_json((*alone)[k]).dump());
    }
  }
}

TEST_CASE("a figure that is an input names its key in the estimate's JSON; a setting, its key in the scenario") {
  std::size_t keys = 0;
  for (const auto& evaluation : evaluations()) {
    if (!evaluation->scenario.has_training) continue;  // closed forms of a step then speak of one that is not estimated
    for (const QuantityRow& row : quantities(*evaluation, nullptr))
      for (const report::Input& input : row.inputs) {
        CAPTURE(evaluation->scenario.model.name, row.id, input.name, input.place);
        if (input.place.empty()) continue;
        if (input.place.starts_with('/')) {
          CHECK(find_field(input.place) != nullptr);
          continue;
        }
        ++keys;
        std::string pointer = "/" + input.place;
        std::replace(pointer.begin(), pointer.end(), '.', '/');
        CHECK(evaluation->json->contains(nlohmann::ordered_json::json_pointer(pointer)));
      }
  }
  CHECK(keys > 100);
}
