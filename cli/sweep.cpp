// `dtcalc sweep`: one row per combination of values.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t most_rows = 1'000'000;

/// The figures of a row, by their place in the estimate's JSON.
constexpr const char* figures[] = {"/model/parameters",
                                   "/memory/parameters_bytes",
                                   "/memory/gradients_bytes",
                                   "/memory/optimizer_bytes",
                                   "/memory/activations_bytes",
                                   "/memory/logits_bytes",
                                   "/memory/kv_cache_bytes",
                                   "/memory/workspace_bytes",
                                   "/memory/total_bytes",
                                   "/memory/capacity_bytes",
                                   "/memory/fits",
                                   "/flops/model_flop",
                                   "/flops/hardware_flop",
                                   "/time/step_s",
                                   "/time/tokens_per_s",
                                   "/time/mfu",
                                   "/time/hfu",
                                   "/inference/prefill_s"};

struct Axis {
  std::string path;
  std::vector<std::string> values;
};

struct Options {
  CommonOptions common;
  std::vector<std::string> vary;
};

/// "a,[1,2],b" at the commas outside of brackets and quotes.
std::vector<std::string> split_values(std::string_view text) {
  std::vector<std::string> values(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '[' || c == '{')) ++depth;
    if (!quoted && (c == ']' || c == '}')) --depth;
    if (c == ',' && depth == 0 && !quoted)
      values.emplace_back();
    else
      values.back() += c;
  }
  return values;
}

Result<std::vector<Axis>> parse_axes(const std::vector<std::string>& texts) {
  std::vector<Axis> axes;
  std::size_t rows = 1;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return Error{"--vary", text, "is not path=a,b,c", "write for example --vary training.micro_batch=1,2,4,8"};
    axes.push_back({text.substr(0, equals), split_values(std::string_view(text).substr(equals + 1))});
    rows *= axes.back().values.size();
    if (rows > most_rows) return Error{"--vary", "", fmt::format("makes more than {} rows", most_rows), "vary less"};
  }
  return axes;
}

std::string one_line(const std::vector<Error>& errors) {
  std::string text = describe(errors);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string cell(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

int run(const Options& options) {
  const Result<std::vector<Axis>> axes = parse_axes(options.vary);
  if (!axes) return fail(axes.errors());
  report::Table table;
  for (const Axis& axis : *axes) table.columns.push_back({axis.path});
  for (const std::string_view figure : figures)
    table.columns.push_back({std::string(figure.substr(figure.rfind('/') + 1))});
  table.columns.push_back({"error"});
  ordered_json documents = ordered_json::array();
  std::vector<Error> first_errors;
  bool any = false;
  std::vector<std::size_t> at(axes->size(), 0);
  for (bool more = true; more;) {
    CommonOptions varied = options.common;
    std::vector<std::string> row;
    ordered_json document;
    for (std::size_t a = 0; a < at.size(); ++a) {
      const Axis& axis = (*axes)[a];
      row.push_back(axis.values[at[a]]);
      document["vary"][axis.path] = axis.values[at[a]];
      varied.set.push_back(axis.path + "=" + axis.values[at[a]]);
    }
    const Result<Scenario> scenario = load(varied);
    if (scenario) {
      any = true;
      const ordered_json estimate = report::to_json(report::estimate(*scenario), false);
      for (const char* figure : figures) {
        const ordered_json::json_pointer pointer(figure);
        const ordered_json value = estimate.contains(pointer) ? estimate.at(pointer) : ordered_json();
        row.push_back(cell(value));
        if (!value.is_null()) document[table.columns[row.size() - 1].title] = value;
      }
      row.emplace_back();
    } else {
      row.resize(table.columns.size() - 1);
      row.push_back(one_line(scenario.errors()));
      document["error"] = row.back();
      if (first_errors.empty()) first_errors = scenario.errors();
    }
    table.rows.push_back(std::move(row));
    if (options.common.output.json) documents.push_back(std::move(document));
    more = false;  // the last axis runs fastest
    for (std::size_t a = at.size(); a-- > 0 && !more;) {
      more = ++at[a] < (*axes)[a].values.size();
      if (!more) at[a] = 0;
    }
  }
  if (!any) return fail(first_errors);
  return deliver(options.common.output, options.common.output.json ? documents.dump(2) + "\n" : report::csv(table));
}

}  // namespace

void add_sweep(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("sweep", "Estimate every combination of values: CSV, a row each");
  verb->add_option("--vary", options->vary, "Values of one key: training.micro_batch=1,2,4 (repeatable: all pairs)")
      ->type_name("PATH=A,B,C")
      ->required()
      ->allow_extra_args(false);
  add_common(*verb, options->common);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
