#include "gui/models/quantities.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

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

/// Every figure of the JSON; the conventions, by which they are counted, last.
std::vector<Leaf> leaves_of(const ordered_json& json) {
  std::vector<Leaf> leaves;
  for (const auto& [key, value] : json.items()) {
    if (key == "scenario" || key == "schema" || key == "conventions" || value.is_array()) continue;
    if (value.is_object())
      collect(value, key + ".", leaves);
    else
      leaves.push_back({key, value});
  }
  collect(json.at("conventions"), "conventions.", leaves);
  return leaves;
}

std::map<std::string, ordered_json> by_key(const Evaluation& evaluation) {
  std::map<std::string, ordered_json> found;
  for (Leaf& leaf : leaves_of(*evaluation.json)) found[leaf.key] = std::move(leaf.value);
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

using Explained = Result<std::vector<report::Explanation>>;

/// Formula, numbers, equation and inputs; nothing when the library does not explain it.
void explain_into(QuantityRow& row, const Explained& found) {
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

/// The graph's figure, or the closed form's.
std::optional<double> value_of(const Explained& found) {
  if (!found || found->empty()) return std::nullopt;
  const report::Explanation& e = found->front();
  return e.value || e.closed_forms.empty() ? e.value : e.closed_forms.front().value;
}

/// A service's figures are known by their whole key, a step's by the last part of it.
std::string id_of_key(const std::string& key) {
  return key.starts_with("inference.") ? key : key.substr(key.rfind('.') + 1);
}

/// The figures of the estimate: keys of the JSON contract.
std::vector<QuantityRow> estimated_rows(const Evaluation& a, const Evaluation* b) {
  const std::map<std::string, ordered_json> others = b ? by_key(*b) : std::map<std::string, ordered_json>();
  const std::string time_origin(report::origin_of(a.scenario));
  const auto& device = a.scenario.hardware;
  const std::string capacity_origin = fmt::format("{} of {}", name_of(device.origin), device.id);
  std::vector<QuantityRow> rows;
  for (const Leaf& leaf : leaves_of(*a.json)) {
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
    rows.push_back(std::move(row));
  }
  return rows;
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
  std::vector<QuantityRow> rows = estimated_rows(a, b);
  const std::vector<report::Explainable> list = report::explainable();
  std::set<std::string, std::less<>> known, shown;
  for (const report::Explainable& e : list) known.insert(e.id);
  for (const QuantityRow& row : rows) shown.insert(row.id), shown.insert(row.id.substr(row.id.rfind('.') + 1));
  // One evaluation of the scenario explains them all.
  std::vector<std::string> of_rows, others;
  std::vector<std::size_t> row_of;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (std::string id = id_of_key(rows[i].id); rows[i].a && known.contains(id))
      of_rows.push_back(std::move(id)), row_of.push_back(i);
  std::vector<const report::Explainable*> more;
  for (const report::Explainable& e : list)
    if (!shown.contains(e.id)) others.push_back(e.id), more.push_back(&e);
  const std::vector<Explained> explained = report::explain_each(of_rows, a.scenario);
  for (std::size_t i = 0; i < explained.size(); ++i) explain_into(rows[row_of[i]], explained[i]);
  const std::vector<Explained> more_explained = report::explain_each(others, a.scenario);
  const std::vector<Explained> of_b = b ? report::explain_each(others, b->scenario) : std::vector<Explained>();
  for (std::size_t i = 0; i < more.size(); ++i) {
    QuantityRow row;
    row.a = value_of(more_explained[i]);
    if (!row.a) continue;
    row.id = more[i]->id, row.unit = more[i]->unit == "1" ? "" : more[i]->unit, row.origin = "closed form";
    explain_into(row, more_explained[i]);
    if (b) row.b = value_of(of_b[i]);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace dtcalc::gui
