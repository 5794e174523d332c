// What the tables of quantities say of their closed forms; see explain_quantity.hpp.
#include <algorithm>

#include "costmodel/report/explain_quantity.hpp"

namespace dtcalc::report {

bool always(const Tower&) { return true; }

bool trains_all(const Tower& t) {
  return t.work == Work::training && t.scenario.training.adapter.rank == 0 && t.scenario.training.frozen.empty();
}

bool adapts(const Tower& t) { return t.work == Work::training && t.scenario.training.adapter.rank > 0; }

bool is_frozen(const Tower& t) {
  const std::vector<std::string>& frozen = t.scenario.training.frozen;
  const auto has = [&](const char* group) { return std::find(frozen.begin(), frozen.end(), group) != frozen.end(); };
  // The groups that hold matrices of every model: without them nothing has a gradient.
  return t.work == Work::training && has("query") && has("key") && has("value") && has("output") && has("up") &&
         has("down") && has("norm") && has("embedding") && has("head");
}

bool trains(const Tower& t) { return t.work == Work::training && !is_frozen(t); }

bool packs(const Tower& t) {
  return t.work == Work::training && half_bytes(t.scenario.training.frozen_weights) <= half_bytes(Dtype::fp8) &&
         (adapts(t) || !t.scenario.training.frozen.empty());
}

bool reads_tokens(const Tower& t) {
  return t.scenario.model.input == ModelInput::tokens && t.scenario.model.head == Head::language;
}

Form from_registry(std::string_view row, When when) { return {row, "", "", "", "", when, false}; }

Form definition(const char* formula) {
  return {"", "From other figures", "definition", formula, "exact", always, true};
}

}  // namespace dtcalc::report
