// `dtcalc estimate`: what a scenario costs.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  bool operators = false;
  bool require_fit = false;
};

int run(const Options& options) {
  const Result<Scenario> scenario = load(options.common);
  if (!scenario) return fail(scenario.errors());
  const report::Estimate estimate = report::estimate(*scenario);
  const OutputOptions& output = options.common.output;
  std::string text;
  if (output.json)
    text = report::to_json(estimate, options.operators).dump(2) + "\n";
  else if (output.csv)
    text = report::csv(report::to_table(estimate, options.operators));
  else
    text = report::to_text(estimate, options.operators, {coloured(output), text_columns(output)});
  const int delivered = deliver(output, text);
  if (delivered != exit_done) return delivered;
  return options.require_fit && !estimate.fits ? exit_condition : exit_done;
}

}  // namespace

void add_estimate(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("estimate", "Predict memory, FLOPs and time of a scenario");
  add_common(*verb, options->common);
  verb->add_flag("--operators", options->operators, "A row per group of kernels, and the saved tensors");
  verb->add_flag("--require-fit", options->require_fit, "Exit with 1 when the device's memory does not suffice");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
