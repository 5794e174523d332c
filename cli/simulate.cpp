// `dtcalc simulate`: one training step, event by event.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/file_output.hpp"
#include "cli/verbs.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "costmodel/schedule/trace.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  bool events = false;
  std::string trace;
};

int run(const Options& options) {
  const OutputOptions& output = options.common.output;
  if (options.events && !output.json)
    return fail(Error{"--events", "", "goes with --json", "write --json --events; --csv prints events anyway"});
  const Result<Scenario> scenario = load(options.common);
  if (!scenario) return fail(scenario.errors());
  const Result<Simulation> simulation = simulate(*scenario);
  if (!simulation) return fail(simulation.errors());
  if (!options.trace.empty())
    if (const std::vector<Error> errors = write_file(options.trace, report::trace(*simulation)); !errors.empty())
      return fail(errors);
  if (output.json) return deliver(output, report::to_json(*simulation, options.events).dump(2) + "\n");
  if (output.csv) return deliver(output, report::csv(report::to_table(*simulation)));
  return deliver(output, report::to_text(*simulation, {coloured(output), text_columns(output)}));
}

}  // namespace

void add_simulate(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("simulate", "Play one training step: timeline, bubble, memory per stage");
  add_common(*verb, options->common);
  verb->add_flag("--events", options->events, "With --json: every event, and memory over time");
  verb->add_option("--trace", options->trace, "Write a trace for ui.perfetto.dev or chrome://tracing to this file")
      ->type_name("FILE");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
