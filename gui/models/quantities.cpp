#include "gui/models/quantities.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/names.hpp"

namespace dtcalc::gui {
namespace {

using nlohmann::ordered_json;

struct Leaf {
  std::string key;
  ordered_json value;
};

void collect(const ordered_json& object, const std::string& prefix, std::vector<Leaf>& leaves) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      collect(value, prefix + key + ".", leaves);
    else if (!value.is_array())
      leaves.push_back({prefix + key, value});
  }
}

std::map<std::string, ordered_json> by_key(const Evaluation& evaluation) {
  std::vector<Leaf> leaves;
  collect(*evaluation.json, "", leaves);
  std::map<std::string, ordered_json> found;
  for (Leaf& leaf : leaves) found[leaf.key] = std::move(leaf.value);
  return found;
}

std::string joined(const std::vector<report::Summand>& summands, std::string report::Summand::*part) {
  std::string text;
  for (const report::Summand& s : summands) {
    if ((s.*part).empty()) continue;
    if (!text.empty()) text += " + ";
    text += s.repeat == 1 ? s.*part : fmt::format("{} ({})", s.repeat, s.*part);
    if (text.size() > 400) return text + " + …";
  }
  return text;
}

/// Formula, numbers, equation and inputs; nothing when the library does not explain this id.
void explain_into(QuantityRow& row, const std::string& id, const Scenario& scenario) {
  const Result<std::vector<report::Explanation>> found = report::explain(id, &scenario, {});
  if (!found || found->empty()) return;
  const report::Explanation& e = found->front();
  row.title = e.title;
  if (!e.unit.empty() && e.unit != "1") row.unit = e.unit;
  row.formula = joined(e.summands, &report::Summand::formula);
  row.numbers = joined(e.summands, &report::Summand::numbers);
  row.inputs = e.inputs;
  if (!e.origin.empty()) row.origin = e.origin;
  if (e.closed_forms.empty()) return;
  const report::ClosedForm& form = e.closed_forms.front();
  row.equation = form.equation;
  if (row.formula.empty()) row.formula = form.formula, row.numbers = form.numbers;
}

bool known(const std::vector<report::Explainable>& list, const std::string& id) {
  for (const report::Explainable& e : list)
    if (e.id == id) return true;
  return false;
}

}  // namespace

std::string unit_of_key(const std::string& key) {
  static constexpr std::pair<std::string_view, std::string_view> units[] = {{"_flop_per_byte", "FLOP/B"},
                                                                            {"_bytes_per_token", "B/token"},
                                                                            {"_bytes_per_s", "B/s"},
                                                                            {"tokens_per_s", "token/s"},
                                                                            {"_flop_per_s", "FLOP/s"},
                                                                            {"_bytes", "B"},
                                                                            {"_flop", "FLOP"},
                                                                            {"_s", "s"}};
  for (const auto& [ending, unit] : units)
    if (key.ends_with(ending)) return std::string(unit);
  return {};
}

std::vector<QuantityRow> quantities(const Evaluation& a, const Evaluation* b) {
  const std::vector<report::Explainable> list = report::explainable();
  const std::map<std::string, ordered_json> others = b ? by_key(*b) : std::map<std::string, ordered_json>();
  std::vector<Leaf> leaves;
  ordered_json figures = *a.json;
  ordered_json conventions = figures.at("conventions");
  for (const char* key : {"scenario", "schema", "conventions"}) figures.erase(key);
  collect(figures, "", leaves);
  collect(conventions, "conventions.", leaves);
  const std::string time_origin(report::origin_of(a.scenario));
  const auto& device = a.scenario.hardware;
  const std::string capacity_origin = fmt::format("{} of {}", name_of(device.origin), device.id);
  std::vector<QuantityRow> rows;
  for (const Leaf& leaf : leaves) {
    QuantityRow row;
    row.id = leaf.key;
    if (leaf.value.is_number())
      row.a = leaf.value.get<double>();
    else
      row.a_text = leaf.value.is_string() ? leaf.value.get<std::string>() : leaf.value.dump();
    if (const auto other = others.find(leaf.key); other != others.end() && other->second.is_number())
      row.b = other->second.get<double>();
    if (row.a) row.unit = unit_of_key(leaf.key);
    row.origin = row.unit == "s" || row.unit == "token/s" ? time_origin
                 : leaf.key.starts_with("conventions.")   ? "scenario"
                 : leaf.key.ends_with("capacity_bytes")   ? capacity_origin
                                                          : "graph";
    // A service's figures are known by their whole key, a step's by the last part of it.
    const bool served = leaf.key.starts_with("inference.");
    const std::string id = served ? leaf.key : leaf.key.substr(leaf.key.rfind('.') + 1);
    if (row.a && known(list, id)) explain_into(row, id, a.scenario);
    rows.push_back(std::move(row));
  }
  for (const report::Explainable& e : list) {
    bool shown = false;
    for (const QuantityRow& row : rows) shown = shown || row.id == e.id || row.id.substr(row.id.rfind('.') + 1) == e.id;
    if (shown) continue;
    const Result<std::vector<report::Explanation>> found = report::explain(e.id, &a.scenario, {});
    if (!found || found->empty()) continue;
    const report::Explanation& x = found->front();
    std::optional<double> value = x.value;
    if (!value && !x.closed_forms.empty()) value = x.closed_forms.front().value;
    if (!value) continue;
    QuantityRow row;
    row.id = e.id, row.a = value, row.unit = e.unit == "1" ? "" : e.unit, row.origin = "closed form";
    explain_into(row, e.id, a.scenario);
    if (b != nullptr)
      if (const auto other = report::explain(e.id, &b->scenario, {}); other && !other->empty())
        row.b = other->front().value                  ? other->front().value
                : other->front().closed_forms.empty() ? std::nullopt
                                                      : other->front().closed_forms.front().value;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace dtcalc::gui
