// An explanation as JSON and as text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/report/explain.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

/// A value with its unit; counts in full.
std::string with_unit(double value, const std::string& unit) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  if (unit == "B" && whole) {
    const Bytes bytes(static_cast<std::int64_t>(value));
    return value < 1024 ? print(bytes) : fmt::format("{} B = {}", bytes.value(), print(bytes));
  }
  if (unit == "FLOP") return print(Flop(value), Prefix::automatic, 6);
  if (unit == "s") return print(Seconds(value), Prefix::automatic, 6);
  const std::string number = whole ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
  return unit == "1" ? number : fmt::format("{} {}", number, unit);
}

/// A formula over several lines, broken before a sign, rather of a sum than of a product; lines after the first start
/// with six spaces.
std::string broken(std::string_view formula, int columns) {
  std::string result;
  while (static_cast<int>(formula.size()) > columns) {
    const auto most = static_cast<std::size_t>(columns);
    std::size_t at = formula.find_last_of("+-", most);
    if (at == std::string_view::npos || at < most / 2) at = formula.find_last_of("*/", most);
    if (at == std::string_view::npos || at == 0) break;
    result += formula.substr(0, at);
    result += "\n      ";
    formula.remove_prefix(at);
  }
  return result.append(formula);
}

}  // namespace

ordered_json to_json(const Explanation& e) {
  ordered_json document{{"id", e.id}, {"title", e.title}, {"unit", e.unit}};
  if (e.value && std::isfinite(*e.value)) {
    document["value"] = *e.value;
    if (!e.origin.empty()) document["origin"] = e.origin;
    ordered_json& graph = document["graph"] = ordered_json::array();
    for (const Summand& s : e.summands) {
      ordered_json row{{"name", s.name}, {"repeat", s.repeat}, {"value", s.value}};
      if (!s.formula.empty()) row["formula"] = s.formula;
      if (!s.numbers.empty()) row["numbers"] = s.numbers;
      graph.push_back(std::move(row));
    }
  }
  ordered_json& forms = document["closed_forms"] = ordered_json::array();
  for (const ClosedForm& f : e.closed_forms) {
    ordered_json row{{"title", f.title},
                     {"equation", f.equation},
                     {"formula", f.formula},
                     {"numbers", f.numbers},
                     {"exactness", f.exactness}};
    if (!f.id.empty()) row["id"] = f.id;
    if (f.value) row["value"] = *f.value;
    if (!f.missing.empty()) row["missing"] = f.missing;
    if (!f.tower.empty()) row["tower"] = f.tower;
    if (f.value && f.figure) row["graph"] = *f.figure, row["difference"] = *f.value - *f.figure;
    if (!f.why.empty()) row["why"] = f.why;
    forms.push_back(std::move(row));
  }
  ordered_json& inputs = document["inputs"] = ordered_json::array();
  for (const Input& i : e.inputs)
    inputs.push_back({{"name", i.name}, {"meaning", i.meaning}, {"value", i.value}, {"origin", i.origin}});
  return document;
}

std::string to_text(const Explanation& e, const TextOptions& options) {
  const auto bold = [&](const std::string& s) { return options.colour ? fmt::format("\x1b[1m{}\x1b[0m", s) : s; };
  std::string result = fmt::format("{}  {}\n", bold(e.id), e.title);
  if (e.value) {
    result += fmt::format("  {}{}\n", with_unit(*e.value, e.unit),
                          e.origin.empty() ? "" : fmt::format("  (times: {})", e.origin));
    if (!e.summands.empty()) result += fmt::format("\n{}\n", bold("The graph's sum"));
    Table table{{{""}, {"", Align::right}, {"", Align::right}, {""}}, {}};
    for (const Summand& s : e.summands) {
      const std::string repeat = s.repeat > 1 && !s.formula.empty() ? fmt::format("{} x", s.repeat) : "";
      const std::string formula = s.numbers.empty() ? s.formula : fmt::format("{} = {}", s.formula, s.numbers);
      table.rows.push_back({s.name, with_unit(s.value, e.unit), repeat, formula});
    }
    result += text(table, 2);
  }
  if (!e.closed_forms.empty())
    result += fmt::format("\n{}\n", bold(e.value ? "Closed forms of the notes" : "Closed form"));
  for (const ClosedForm& f : e.closed_forms) {
    result +=
        fmt::format("  ({})  {}{}{}; {}\n", f.equation, f.tower, f.tower.empty() ? "" : ": ", f.title, f.exactness);
    result += fmt::format("      {}\n", broken(f.formula, options.columns - 6));
    if (!f.numbers.empty() && f.numbers != f.formula)
      result += fmt::format("    = {}\n", broken(f.numbers, options.columns - 6));
    if (f.value) result += fmt::format("    = {}\n", with_unit(*f.value, e.unit));
    if (!f.missing.empty())
      result += fmt::format("    needs {}: --with {}=VALUE\n", fmt::join(f.missing, ", "), f.missing.front());
    if (f.value && f.figure) {
      const double off = *f.value - *f.figure;
      const std::string graph =
          f.tower.empty() ? "the graph's" : fmt::format("the graph's {}", with_unit(*f.figure, e.unit));
      result += equal(*f.value, *f.figure) ? fmt::format("    equal to {}\n", graph)
                : *f.figure == 0           ? fmt::format("    the graph has none{}\n", f.why.empty() ? "" : ", because")
                                           : fmt::format("    {:.3g} % {} {}{}\n", 100 * std::abs(off / *f.figure),
                                               off > 0 ? "above" : "below", graph, f.why.empty() ? "" : ", because");
    }
    for (const std::string& why : f.why) result += fmt::format("    - {}\n", wrapped(why, options.columns - 6, 6));
  }
  if (!e.inputs.empty()) {
    result += fmt::format("\n{}\n", bold("Inputs"));
    Table table{{{""}, {"", Align::right}, {""}, {""}}, {}};
    for (const Input& i : e.inputs)
      table.rows.push_back({i.name, fmt::format("{:.10g}", i.value), i.meaning, i.origin});
    result += text(table, 2);
  }
  return result;
}

}  // namespace dtcalc::report
