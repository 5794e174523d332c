// `dtcalc estimate`: what a scenario costs, on one device or on every preset.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/common.hpp"
#include "cli/quantity.hpp"
#include "cli/verbs.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/report/devices.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  bool operators = false;
  bool require_fit = false;
  std::int64_t beams = 0;  ///< 0: not asked for
  std::string draft, acceptance;
};

/// Beam search and speculative decoding, where they were asked for.
std::vector<Error> add_generation(const Options& options, report::Estimate& estimate) {
  const bool speculates = !options.draft.empty() || !options.acceptance.empty();
  if (options.beams == 0 && !speculates) return {};
  const Scenario& scenario = estimate.scenario;
  if (!scenario.has_inference)
    return {{options.beams > 0 ? "--beams" : "--draft", "", "is of a scenario with inference",
             "add one, e.g. --set inference.batch=1"}};
  if (options.beams > 0) estimate.beam_search = beam_search_of(scenario, options.beams);
  if (!speculates) return {};
  if (options.draft.empty() || options.acceptance.empty())
    return {{options.draft.empty() ? "--draft" : "--acceptance", "", "is missing",
             "give the draft model and the probability that a draft is accepted: --draft llama2-7b --acceptance 0.8"}};
  OptionReader read;
  const std::optional<double> acceptance = read.number("--acceptance", options.acceptance, 1);
  if (!acceptance) return read.errors();
  const Result<Model> draft = load_model(options.draft, {data_dir(), {}});
  if (!draft) return draft.errors();
  Result<Speculative> speculative = speculative_of(scenario, *draft, *acceptance);
  if (!speculative) {
    std::vector<Error> errors = speculative.errors();
    for (Error& e : errors) e.place = fmt::format("--draft {}", e.place);
    return errors;
  }
  estimate.speculative = std::move(speculative).value();
  return {};
}

/// The scenario on every hardware preset. An error that all of them give is the scenario's own.
int run_on_all(const Options& options) {
  for (const auto& [name, given] :
       {std::pair("--operators", options.operators), std::pair("--beams", options.beams > 0),
        std::pair("--draft", !options.draft.empty())})
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
  const Result<Scenario> scenario = load(options.common);
  if (!scenario) return fail(scenario.errors());
  report::Estimate estimate = report::estimate(*scenario);
  if (const std::vector<Error> errors = add_generation(options, estimate); !errors.empty()) return fail(errors);
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
  verb->add_option("--beams", options->beams, "Inference: beam search with so many hypotheses a sequence")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--draft", options->draft, "Inference: speculative decoding with this draft model")
      ->type_name("NAME|FILE");
  verb->add_option("--acceptance", options->acceptance, "Probability that a draft is accepted")->type_name("SHARE");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
