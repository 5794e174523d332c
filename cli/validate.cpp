// `dtcalc validate`: predict, run and compare on this machine; with --published, compare with published tables.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.hpp"
#include "cli/device.hpp"
#include "cli/run.hpp"
#include "cli/validate_page.hpp"
#include "cli/validate_published.hpp"
#include "cli/verbs.hpp"
#include "costmodel/published/fit.hpp"
#include "engine/slice.hpp"
#include "engine/train/admission.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/stop_request.hpp"
#include "engine/validate.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> families;   ///< after --published
  std::vector<std::string> constants;  ///< after --fit
  double tolerance = 0.15;
  double group_tolerance = 0.25;
  int steps = 5;
  double seconds = 3;
  std::string device = "auto";
  std::string page;
  std::int64_t slice = 0;  ///< blocks of one rank that are run; 0: the model as it is
};

constexpr double kMiB = 1024.0 * 1024.0;
/// How far the process may be from what the profile says it takes beside the arena.
constexpr double kLibraryToleranceMiB = 64;

bool within(const Validation& v, const Options& o) {
  const double beside = static_cast<double>((v.process - v.arena_touched - v.library_predicted).value()) / kMiB;
  return std::abs(v.step_error()) <= o.tolerance && v.group_error() <= o.group_tolerance && v.exact() &&
         std::abs(beside) <= kLibraryToleranceMiB;
}

std::string text(const Validation& v, const Scenario& s, const Options& o, bool colour) {
  const std::string bold = colour ? "\x1b[1m" : "", plain = colour ? "\x1b[0m" : "";
  std::string out = fmt::format("{}{}{} on {}: predicted beside measured, one training step\n\n", bold, s.model.name,
                                plain, s.hardware.name);
  const auto exact = [&](const char* what, double predicted, double measured, const char* unit) {
    out += fmt::format("{:<24}{:>18.0f}{:>18.0f} {:<6} {}\n", what, predicted, measured, unit,
                       predicted == measured ? "equal" : "DIFFERENT");
  };
  out += fmt::format("{}{:<24}{:>18}{:>18}{}\n", bold, "", "predicted", "measured", plain);
  exact("parameters", static_cast<double>(v.predicted.parameters.value()), static_cast<double>(v.parameters), "");
  exact("memory, arena", static_cast<double>(v.predicted.total.value()), static_cast<double>(v.arena_touched.value()),
        "bytes");
  exact("executed FLOPs", v.predicted.hardware_flop.value(), v.measured_flop, "FLOP");
  out += fmt::format("{:<24}{:>18.1f}{:>18.1f} MiB    beside the arena\n", "memory, process",
                     static_cast<double>(v.library_predicted.value()) / kMiB,
                     static_cast<double>((v.process - v.arena_touched).value()) / kMiB);
  out += fmt::format("{:<24}{:>18.3f}{:>18.3f} ms     {:+.1f} %\n\n", "step time", v.predicted.step.value() * 1e3,
                     v.step_s * 1e3, 100 * v.step_error());
  out += fmt::format("{}{:<28}{:<10}{:>11}{:>11}{:>9}{:>10}{}\n", bold, "group", "phase", "predicted", "measured",
                     "error", "of step", plain);
  for (const GroupComparison& g : v.groups) {
    const double difference = g.predicted_s - g.measured_s;
    out += fmt::format("{:<28}{:<10}{:>8.3f} ms{:>8.3f} ms{:>+8.1f}%{:>+9.2f}%\n", g.name, g.phase, g.predicted_s * 1e3,
                       g.measured_s * 1e3, g.measured_s > 0 ? 100 * difference / g.measured_s : 0.0,
                       100 * difference / v.step_s);
  }
  const auto worst = v.worst(3);
  out += fmt::format(
      "\nstep error {:+.1f} % (tolerance {:.0f} %), groups' errors together {:.1f} % of the step ({:.0f} %)\n",
      100 * v.step_error(), 100 * o.tolerance, 100 * v.group_error(), 100 * o.group_tolerance);
  out += fmt::format("most of it: {}\n", fmt::join(worst, ", "));
  out += fmt::format("{} steps of {:.3f} to {:.3f} ms, median {:.3f} ms, {:.3f} ms of it outside the groups' clocks\n",
                     v.steps, v.fastest_s * 1e3, v.slowest_s * 1e3, v.step_s * 1e3, v.outside_s * 1e3);
  out += fmt::format("times of the prediction: {}, {}\n",
                     s.hardware.origin == Origin::calibrated ? "calibrated by dtcalc measure" : "datasheet",
                     s.hardware.date.empty() ? "no date" : s.hardware.date);
  return out;
}

std::string text(const WholeFromSlice& w) {
  return fmt::format(
      "\n{} of {} layers of one of {} tensor-parallel ranks were run. The whole step on {} devices:\n"
      "  by the cost model alone     {:>10.2f} ms\n  from the slice              {:>10.2f} ms\n"
      "    groups, as measured       {:>10.2f} ms\n    collectives, predicted    {:>10.2f} ms\n"
      "    bubble and host, predicted{:>10.2f} ms\n",
      w.blocks, w.layers, w.tensor, w.devices, 1e3 * w.predicted_s, 1e3 * w.step_s, 1e3 * w.compute_s,
      1e3 * w.communication_s, 1e3 * w.other_s);
}

nlohmann::ordered_json json(const WholeFromSlice& w) {
  return {{"devices", w.devices},
          {"tensor", w.tensor},
          {"layers", w.layers},
          {"blocks", w.blocks},
          {"step_predicted_s", w.predicted_s},
          {"step_from_slice_s", w.step_s},
          {"groups_s", w.compute_s},
          {"communication_predicted_s", w.communication_s},
          {"other_predicted_s", w.other_s}};
}

nlohmann::ordered_json json(const Validation& v, const Scenario& s, bool ok) {
  nlohmann::ordered_json j;
  j["schema"] = "dtcalc.validate.1";
  j["model"] = s.model.name;
  j["hardware"] = s.hardware.name;
  j["machine"] = s.hardware.machine;
  j["date"] = s.hardware.date;
  j["parameters"] = {{"predicted", v.predicted.parameters.value()}, {"measured", v.parameters}};
  j["memory"] = {{"arena_predicted_bytes", v.predicted.total.value()},
                 {"arena_measured_bytes", v.arena_touched.value()},
                 {"process_predicted_bytes", v.library_predicted.value()},
                 {"process_measured_bytes", (v.process - v.arena_touched).value()}};
  j["flops"] = {{"hardware_predicted_flop", v.predicted.hardware_flop.value()},
                {"hardware_measured_flop", v.measured_flop},
                {"model_flop", v.predicted.model_flop.value()}};
  j["time"] = {{"step_predicted_s", v.predicted.step.value()},
               {"step_measured_s", v.step_s},
               {"fastest_s", v.fastest_s},
               {"slowest_s", v.slowest_s},
               {"outside_groups_s", v.outside_s},
               {"steps", v.steps},
               {"step_error", v.step_error()},
               {"group_error", v.group_error()}};
  j["worst_groups"] = v.worst(3);
  j["within_tolerance"] = ok;
  const Totals& t = v.predicted;
  j["memory"]["categories"] = {
      {"parameters_bytes", t.parameters_bytes.value()}, {"gradients_bytes", t.gradients_bytes.value()},
      {"optimizer_bytes", t.optimizer_bytes.value()},   {"activations_bytes", t.activations_bytes.value()},
      {"logits_bytes", t.logits_bytes.value()},         {"workspace_bytes", t.workspace_bytes.value()}};
  for (const GroupComparison& g : v.groups) {
    const Achieved reached = achieved(g, s);
    j["groups"].push_back({{"name", g.name},
                           {"phase", g.phase},
                           {"predicted_s", g.predicted_s},
                           {"measured_s", g.measured_s},
                           {"predicted_flop", g.predicted_flop},
                           {"measured_flop", g.measured_flop},
                           {"predicted_bytes", g.predicted_bytes},
                           {"compute_fraction", reached.compute},
                           {"bandwidth_fraction", reached.bandwidth}});
  }
  return j;
}

std::string csv(const Validation& v) {
  std::string out = "name,phase,predicted_s,measured_s,predicted_flop,measured_flop\n";
  for (const GroupComparison& g : v.groups)
    out += fmt::format("{},{},{},{},{},{}\n", g.name, g.phase, g.predicted_s, g.measured_s, g.predicted_flop,
                       g.measured_flop);
  return out;
}

int run(const Options& options) {
  const Result<Scenario> whole = load(options.common);
  if (!whole) return fail(whole.errors());
  const Result<Scenario> scenario = options.slice > 0 ? slice_of(*whole, options.slice) : whole;
  if (!scenario) return fail(scenario.errors());
  const auto device = choose_device(options.device, *scenario);
  if (!device) return fail(device.errors());
  const auto free = free_memory(*device);
  if (!free) return fail(free.errors());
  if (auto error = refuse_beyond_memory(*scenario, *free)) return fail(*error);
  const StopRequest stop;
  Progress progress(STDERR_FILENO, "validate", 1000);
  ValidateOptions running;
  running.device = *device;
  running.threads = device->cuda ? machine_threads() : static_cast<int>(scenario->hardware.multiprocessors);
  running.steps = options.steps;
  running.least_seconds = options.seconds;
  running.progress = [&](double done) { progress.update(static_cast<std::int64_t>(done * 1000), "running"); };
  running.stop = [&] { return stop.requested(); };
  const Result<Validation> result = validate(*scenario, running);
  progress.finish();
  if (stop.requested()) return stop.exit_code();
  if (!result) return fail(result.errors());
  const bool ok = within(*result, options);
  std::optional<WholeFromSlice> from_slice;
  if (options.slice > 0) from_slice = whole_from_slice(*whole, *result, options.slice);
  if (!options.page.empty()) {
    OutputOptions page;
    page.file = options.page;
    if (const int written = deliver(page, validation_page(*result, *scenario, from_slice)); written != exit_done)
      return written;
  }
  const OutputOptions& output = options.common.output;
  std::string printed;
  if (output.json) {
    auto document = json(*result, *scenario, ok);
    if (from_slice) document["whole"] = json(*from_slice);
    printed = document.dump(1) + "\n";
  } else {
    printed = output.csv ? csv(*result) : text(*result, *scenario, options, coloured(output));
    if (from_slice && !output.csv) printed += text(*from_slice);
  }
  const int delivered = deliver(output, printed);
  return delivered != exit_done ? delivered : ok ? exit_done : exit_condition;
}

}  // namespace

void add_validate(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand(
      "validate",
      "Predict one training step for this machine, run it, and compare group by group; or --published tables");
  add_common(*verb, options->common);
  add_device(*verb, options->device);
  CLI::Option* published =
      verb->add_option("--published", options->families,
                       "Compare with published tables instead: families (dtcalc presets published) or files, else all")
          ->type_name("[FAMILY...]")
          ->expected(0, -1);
  CLI::Option* fit =
      verb->add_option("--fit", options->constants,
                       "With --published: fit constants of the families' software profile, with leave-one-out errors")
          ->delimiter(',')
          ->check(CLI::IsMember(published::constant_names()))
          ->needs(published);
  CLI::Option* tolerance =
      verb->add_option("--tolerance", options->tolerance,
                       "Relative error of the step's time that is accepted; with --published, of each family, if given")
          ->check(CLI::PositiveNumber)
          ->capture_default_str();
  verb->add_option("--group-tolerance", options->group_tolerance,
                   "Sum of the groups' absolute errors that is accepted, as a share of the step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--html", options->page, "Also write a page with charts to this file")->type_name("FILE");
  verb->add_option("--slice", options->slice,
                   "Run so many blocks of one tensor-parallel rank instead, and carry their time to the whole model")
      ->type_name("BLOCKS")
      ->check(CLI::PositiveNumber);
  verb->add_option("--steps", options->steps, "Steps to measure, at least")->check(CLI::PositiveNumber);
  verb->add_option("--seconds", options->seconds, "Seconds to measure, at least")->check(CLI::PositiveNumber);
  verb->callback([options, published, fit, tolerance, &exit_code] {
    std::erase(options->families, "");  // CLI11's word for an option without a value
    if (fit->count() > 0) {
      exit_code = fit_published(options->families, options->constants, options->common.output);
      return;
    }
    const auto accepted = tolerance->count() > 0 ? std::optional(options->tolerance) : std::nullopt;
    exit_code =
        published->count() > 0 ? validate_published(options->families, options->common, accepted) : run(*options);
  });
}

}  // namespace dtcalc::cli
