// `dtcalc run train`.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.hpp"
#include "cli/device.hpp"
#include "cli/run.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"
#include "engine/io/output.hpp"
#include "engine/train/loop.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/stop_request.hpp"

namespace dtcalc::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* unmeasured_cpu = "cpu-2-cores";  ///< preset; a run needs no rate of its device

struct TrainVerb {
  CommonOptions common;
  std::vector<std::string> data;
  bool markov = false;
  std::int32_t markov_symbols = 8;
  std::string checkpoint, weights, exported;
  bool resume = false, extend = false;
  std::int64_t steps = 0;  ///< 0: the scenario's
  std::int64_t checkpoint_every = 100, evaluate_every = 100, evaluation_batches = 8;
  int threads = machine_threads();
  std::string device = "auto";
};

/// The project's own text, where the data folder is its source tree.
std::vector<fs::path> own_text() {
  std::vector<fs::path> paths;
  for (const char* name : {"README.md", "docs", "costmodel", "engine", "cli"})
    if (std::error_code none; fs::exists(data_dir() / name, none)) paths.push_back(data_dir() / name);
  return paths;
}

Result<DataOptions> data_options(const TrainVerb& verb) {
  if (verb.markov) return DataOptions{{}, verb.markov_symbols};
  DataOptions options{{verb.data.begin(), verb.data.end()}, 0};
  if (options.files.empty()) options.files = own_text();
  if (options.files.empty())
    return Error{"--data", "", "is missing, and the sources of dtcalc are not here", "name text files or folders"};
  return options;
}

/// The best loss that any model can reach on the source, where it is known.
std::optional<double> best_loss(const TokenSource& source, const Training& training) {
  const auto* chain = std::get_if<MarkovSource>(&source);
  if (!chain) return std::nullopt;
  return markov_losses(*chain).optimum(training.sequence);
}

const char* text(TrainEnd end) {
  switch (end) {
    case TrainEnd::finished:
      return "finished";
    case TrainEnd::stopped:
      return "stopped";
    case TrainEnd::diverged:
      return "diverged";
  }
  return "";
}

std::string json_report(const Scenario& scenario, const TokenSource& source, const TrainReport& report) {
  const Training& t = scenario.training;
  ordered_json held_out = ordered_json::array();
  for (std::size_t i = 0; i < report.held_out_loss.size(); ++i)
    held_out.push_back({{"step", report.held_out_step[i]},
                        {"loss", report.held_out_loss[i]},
                        {"perplexity", std::exp(report.held_out_loss[i])}});
  ordered_json json{{"schema", 1},
                    {"scenario", to_json(scenario)},
                    {"data", identity(source)},
                    {"end", text(report.end)},
                    {"first_step", report.first_step},
                    {"steps_done", report.steps_done},
                    {"tokens", report.steps_done * t.global_batch * t.sequence},
                    {"train_s", report.seconds},
                    {"tokens_per_s", report.tokens_per_s},
                    {"predicted_peak_bytes", report.predicted_peak.value()},
                    {"checkpoint", report.saved.string()},
                    {"train_loss", report.loss},
                    {"held_out", std::move(held_out)}};
  if (const auto best = best_loss(source, t)) json["best_loss"] = *best;
  return json.dump(2) + "\n";
}

/// Some ten lines of the loss curve, evenly spread, and the last step.
std::string curve(const TrainReport& report) {
  const auto steps = static_cast<std::int64_t>(report.loss.size());
  const std::int64_t stride = std::max<std::int64_t>(1, steps / 10);
  std::string out = "      step   training loss\n";
  for (std::int64_t step = 1; step <= steps; ++step)
    if (step == 1 || step == steps || (step % stride == 0 && steps - step >= stride / 2))
      out += fmt::format("{:>10}   {:>13.4f}\n", step, report.loss[static_cast<std::size_t>(step - 1)]);
  return out;
}

std::string text_report(const Scenario& scenario, const TokenSource& source, const TrainReport& report,
                        const std::string& exported) {
  const Training& t = scenario.training;
  std::string out = report.loss.empty() ? std::string() : curve(report);
  out += fmt::format("{} of {} steps, {}", report.steps_done, t.steps,
                     print(Tokens(report.steps_done * t.global_batch * t.sequence)));
  if (report.seconds > 0)
    out += fmt::format("; {:.1f} s from step {}, {}", report.seconds, report.first_step,
                       print(TokensPerSecond(report.tokens_per_s)));
  out += "\n";
  if (!report.held_out_loss.empty()) {
    const double loss = report.held_out_loss.back();
    out += fmt::format("Held-out loss {:.4f} nats per token at step {}, perplexity {:.3f}\n", loss,
                       report.held_out_step.back(), std::exp(loss));
    if (const auto best = best_loss(source, t))
      out += fmt::format("Best possible loss of this source {:.4f}: {:.4f} above it\n", *best, loss - *best);
  }
  if (!report.saved.empty()) out += fmt::format("Checkpoint: {}\n", report.saved.string());
  if (!exported.empty()) out += fmt::format("Weights: {}\n", exported);
  return out;
}

Result<Scenario> scenario_of(TrainVerb verb) {
  if (auto errors = complete_hardware(verb.device, unmeasured_cpu, verb.common); !errors.empty()) return errors;
  if (verb.steps > 0) verb.common.set.push_back(fmt::format("training.steps={}", verb.steps));
  auto scenario = load(verb.common);
  if (!scenario || scenario->hardware.kind == "gpu") return scenario;
  return with_threads(*std::move(scenario), verb.threads);
}

int train_verb(const TrainVerb& verb) {
  const auto scenario = scenario_of(verb);
  if (!scenario) return fail(scenario.errors());
  const auto device = choose_device(verb.device, *scenario);
  if (!device) return fail(device.errors());
  const auto free = free_memory(*device);
  if (!free) return fail(free.errors());
  const auto data = data_options(verb);
  if (!data) return fail(data.errors());
  const auto source = open_source(*scenario, *data);
  if (!source) return fail(source.errors());

  const StopRequest stop;
  std::optional<Progress> progress;
  TrainOptions options;
  options.device = *device;
  options.threads = verb.threads;
  options.checkpoint = verb.checkpoint;
  options.weights = verb.weights;
  options.exported = verb.exported;
  options.checkpoint_interval = verb.checkpoint_every;
  options.evaluation_interval = verb.evaluate_every;
  options.evaluation_batches = verb.evaluation_batches;
  options.resume = verb.resume;
  options.more_steps = verb.extend;
  options.free_memory = *free;
  options.stop_requested = [&] { return stop.requested(); };
  options.on_refused = [](const Error& error) {
    (void)checked_write(STDERR_FILENO, fmt::format("passed over: {}\n", describe(error)));
  };
  options.on_step = [&](const StepReport& now) {
    if (!progress) progress.emplace(STDERR_FILENO, "train", now.steps, now.step - 1);
    progress->update(now.step, fmt::format("loss {:.3f}, {}", now.loss, print(TokensPerSecond(now.tokens_per_s))));
  };
  const auto report = train(*scenario, *source, options);
  progress.reset();
  if (!report) return fail(report.errors());
  const int delivered =
      deliver(verb.common.output, verb.common.output.json ? json_report(*scenario, *source, *report)
                                                          : text_report(*scenario, *source, *report, verb.exported));
  if (report->end == TrainEnd::stopped) return stop.exit_code();
  if (report->end == TrainEnd::diverged) {
    fail(*report->diverged);
    return exit_condition;
  }
  return delivered;
}

}  // namespace

void add_run_train(CLI::App& run, int& exit_code) {
  CLI::App* verb = run.add_subcommand("train", "Train on text or on a synthetic source; resumable (docs/training.md)");
  const auto options = std::make_shared<TrainVerb>();
  add_common(*verb, options->common, false);
  CLI::Option* data = verb->add_option("--data", options->data, "Text files or folders; default: dtcalc's own sources")
                          ->type_name("PATH");
  CLI::Option* markov =
      verb->add_flag("--markov", options->markov, "Train on a Markov source of known entropy")->excludes(data);
  verb->add_option("--symbols", options->markov_symbols, "Symbols of the Markov source")
      ->needs(markov)
      ->check(CLI::Range(8, 64))
      ->capture_default_str();
  CLI::Option* folder =
      verb->add_option("--checkpoint", options->checkpoint, "Folder of the run's checkpoints; default: none is written")
          ->type_name("DIR");
  verb->add_option("--weights", options->weights,
                   "Start from Hugging Face weights: a safetensors file, or a folder of them (GPT-2 and Llama shapes)")
      ->type_name("PATH");
  verb->add_option("--export", options->exported,
                   "Write the weights at the end as a Hugging Face model: DIR/model.safetensors and DIR/config.json")
      ->type_name("DIR");
  CLI::Option* resume =
      verb->add_flag("--resume", options->resume, "Go on from the newest whole checkpoint, if there is one")
          ->needs(folder);
  verb->add_flag("--extend", options->extend, "Let the resumed run have more steps than the checkpoint's")
      ->needs(resume);
  verb->add_option("--steps", options->steps, "Optimizer steps of the whole run; default: the scenario's")
      ->check(CLI::PositiveNumber);
  verb->add_option("--checkpoint-every", options->checkpoint_every, "Steps between checkpoints; 0: only at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--evaluate-every", options->evaluate_every, "Steps between evaluations; 0: only at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--evaluation-batches", options->evaluation_batches, "Held-out micro-batches of an evaluation")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_device(*verb, options->device);
  verb->add_option("--threads", options->threads, "Threads; a resumed run on the CPU needs the same number")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->callback([options, &exit_code] { exit_code = train_verb(*options); });
}

}  // namespace dtcalc::cli
