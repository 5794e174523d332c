// `dtcalc explain QUANTITY`: the graph's sum and the closed form of the notes, with the numbers put in.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/formulas/equations.hpp"
#include "costmodel/report/explain.hpp"

namespace dtcalc::cli {
namespace {

using Inputs = std::map<std::string, double, std::less<>>;

struct Options {
  std::string quantity;
  std::vector<std::string> with;
  bool list = false;
  CommonOptions common;
};

Result<Inputs> parse_inputs(const std::vector<std::string>& texts) {
  Inputs inputs;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    double value = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + std::min(equals + 1, text.size()), end, value);
    if (equals == std::string::npos || equals == 0 || parsed.ec != std::errc() || parsed.ptr != end ||
        !std::isfinite(value))
      return Error{"--with", text, "is not NAME=NUMBER", "write for example --with alpha=0.8"};
    inputs[text.substr(0, equals)] = value;
  }
  return inputs;
}

/// Rows of a name and a text beside it, broken to the terminal's width.
std::string rows_in(int columns, const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t widest = 0;
  for (const auto& [name, text] : rows) widest = std::max(widest, report::width_of(name));
  std::string result;
  for (const auto& [name, text] : rows) {
    std::string_view left = name;
    const std::string lines = report::wrapped(text, columns - static_cast<int>(widest) - 2);
    for (std::size_t from = 0; from <= lines.size();) {
      const std::size_t end = std::min(lines.find('\n', from), lines.size());
      result += fmt::format("{:{}}  {}\n", left, widest, lines.substr(from, end - from));
      left = "";
      from = end + 1;
    }
  }
  return result;
}

int list_quantities(const OutputOptions& output) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::vector<std::pair<std::string, std::string>> rows;
  for (const report::Explainable& known : report::explainable()) {
    json.push_back({{"id", known.id}, {"unit", known.unit}, {"title", known.title}});
    rows.emplace_back(known.id, known.unit == "1" ? known.title : fmt::format("{} [{}]", known.title, known.unit));
  }
  return deliver(output, output.json ? json.dump(2) + "\n" : rows_in(text_columns(output), rows));
}

int list_equations(const OutputOptions& output) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::vector<std::pair<std::string, std::string>> rows;
  for (const formulas::Equation& e : formulas::equations()) {
    json.push_back({{"equation", e.number}, {"functions", e.functions}, {"remark", e.remark}});
    const char* between = e.functions.empty() || e.remark.empty() ? "" : "; ";
    rows.emplace_back(e.number, fmt::format("{}{}{}", fmt::join(e.functions, ", "), between, e.remark));
  }
  return deliver(output, output.json ? json.dump(2) + "\n" : rows_in(text_columns(output), rows));
}

int run(const Options& options) {
  const OutputOptions& output = options.common.output;
  if (options.list) return list_equations(output);
  if (options.quantity.empty()) return list_quantities(output);
  const Result<Inputs> inputs = parse_inputs(options.with);
  if (!inputs) return fail(inputs.errors());
  const CommonOptions& c = options.common;
  const bool has_scenario = !c.scenario.empty() || !c.model.empty() || !c.hardware.empty() || !c.software.empty() ||
                            !c.cluster.empty() || !c.set.empty();
  Scenario scenario;
  if (has_scenario) {
    Result<Scenario> loaded = load(c);
    if (!loaded) return fail(loaded.errors());
    scenario = std::move(loaded).value();
  }
  const Result<std::vector<report::Explanation>> explained =
      report::explain(options.quantity, has_scenario ? &scenario : nullptr, *inputs);
  if (!explained) return fail(explained.errors());
  if (output.json) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const report::Explanation& e : *explained) rows.push_back(report::to_json(e));
    return deliver(output, (rows.size() == 1 ? rows.front() : rows).dump(2) + "\n");
  }
  std::string text;
  for (const report::Explanation& e : *explained)
    text += (text.empty() ? "" : "\n") + report::to_text(e, {coloured(output), text_columns(output)});
  return deliver(output, text);
}

}  // namespace

void add_explain(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("explain", "Where a figure comes from: the graph's sum and the notes' formula");
  verb->add_option("quantity", options->quantity,
                   "parameters, total_bytes, step_s, …, a formula's id or an equation (3.7); none: list them")
      ->type_name("QUANTITY");
  verb->add_option("--with", options->with, "Give or replace an input of a formula (repeatable)")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
  verb->add_flag("--list", options->list, "The notes' equations with their functions, or why there is none");
  add_common(*verb, options->common, false);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
