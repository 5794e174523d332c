// `dtcalc estimate`: what a scenario costs, on one device or on every preset.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/report/devices.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/presets.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  bool operators = false;
  bool require_fit = false;
  std::int64_t beams = 0;  ///< 0: not asked for
  std::string draft, acceptance;
};

/// The options that are short for keys of the scenario, as overrides before those of --set.
CommonOptions with_generation(const Options& options) {
  CommonOptions common = options.common;
  std::vector<std::string> sets;
  if (options.beams > 0) sets.push_back(fmt::format("inference.beams={}", options.beams));
  if (!options.draft.empty()) sets.push_back(fmt::format("inference.draft.model={}", located(options.draft)));
  if (!options.acceptance.empty()) sets.push_back(fmt::format("inference.draft.acceptance={}", options.acceptance));
  common.set.insert(common.set.begin(), sets.begin(), sets.end());
  return common;
}

/// The scenario on every hardware preset. An error that all of them give is the scenario's own.
int run_on_all(const Options& options) {
  for (const auto& [name, given] :
       {std::pair("--operators", options.operators), std::pair("--beams", options.beams > 0),
        std::pair("--draft", !options.draft.empty()), std::pair("--acceptance", !options.acceptance.empty())})
    if (given) return fail(Error{name, "", "is of one device, --hardware all of many", "name one device"});
  std::vector<report::DeviceEstimate> devices;
  bool any = false, fits = false;
  for (const Preset& preset : list_presets(PresetKind::hardware, data_dir())) {
    CommonOptions common = options.common;
    common.hardware = preset.name;
    report::DeviceEstimate device{preset.name, std::nullopt, {}};
    if (const Result<Scenario> scenario = load(common)) {
      device.estimate = report::estimate(*scenario);
      any = true, fits = fits || device.estimate->fits;
    } else {
      device.errors = scenario.errors();
    }
    devices.push_back(std::move(device));
  }
  if (!any && !devices.empty()) return fail(devices.front().errors);
  report::sort_by_fit(devices);
  const OutputOptions& output = options.common.output;
  const int delivered =
      deliver(output, output.json  ? report::to_json(devices).dump(2) + "\n"
                      : output.csv ? report::csv(report::to_table(devices))
                                   : report::to_text(devices, {coloured(output), text_columns(output)}));
  if (delivered != exit_done) return delivered;
  return options.require_fit && !fits ? exit_condition : exit_done;
}

int run(const Options& options) {
  if (options.common.hardware == "all") return run_on_all(options);
  const Result<Scenario> scenario = load(with_generation(options));
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
  CLI::App* verb = program.add_subcommand(
      "estimate", "Predict memory, FLOPs and time of a scenario (--hardware all: on every device preset)");
  add_common(*verb, options->common);
  verb->add_flag("--operators", options->operators, "A row per group of kernels, and the saved tensors");
  verb->add_flag("--require-fit", options->require_fit, "Exit with 1 when the device's memory does not suffice");
  verb->add_option("--beams", options->beams, "Short for --set inference.beams=N: what beam search costs")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--draft", options->draft, "Short for --set inference.draft.model=NAME|FILE: speculative decoding")
      ->type_name("NAME|FILE");
  verb->add_option("--acceptance", options->acceptance, "Short for --set inference.draft.acceptance=SHARE")
      ->type_name("SHARE");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
