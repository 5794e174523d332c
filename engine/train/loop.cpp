#include "engine/train/loop.hpp"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/fields.hpp"
#include "engine/cpu/executor.hpp"
#include "engine/train/admission.hpp"
#include "engine/train/checkpoint.hpp"
#include "engine/train/resume.hpp"
#include "engine/train/schedule.hpp"
#include "engine/train/tensors.hpp"
#include "engine/train/tokens.hpp"

namespace dtcalc {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Sequences of one micro-batch, (B, S) each.
struct Batch {
  explicit Batch(const Training& training)
      : tokens(static_cast<std::size_t>(training.micro_batch * training.sequence)), targets(tokens.size()) {}
  std::vector<std::int32_t> tokens, targets;
};

template <class T>
class Run {
 public:
  Run(const Scenario& scenario, const TokenSource& source, const TrainOptions& options, cpu::Executor<T>& executor)
      : scenario_(scenario), source_(source), options_(options), executor_(executor), batch_(scenario.training) {}

  std::optional<std::vector<Error>> begin();
  Result<TrainReport> go();

 private:
  double train_step(std::int64_t step);
  void evaluate_held_out(std::int64_t step);
  bool parameters_finite();
  std::optional<Error> save();
  RunState state() const;
  void restore(const RunState& state);
  Error diverged(std::string_view what, double value) const;

  const Scenario& scenario_;
  const TokenSource& source_;
  const TrainOptions& options_;
  cpu::Executor<T>& executor_;
  Batch batch_;
  TrainReport report_;
};

template <class T>
RunState Run<T>::state() const {
  const Training& t = scenario_.training;
  RunState state;
  state.step = report_.steps_done;
  state.tokens_seen = report_.steps_done * t.global_batch * t.sequence;
  state.seed = t.seed;
  state.data = identity(source_);
  state.scenario = to_json(scenario_).dump();
  state.history = {{"train_loss", report_.loss},
                   {"held_out_step", {report_.held_out_step.begin(), report_.held_out_step.end()}},
                   {"held_out_loss", report_.held_out_loss}};
  return state;
}

template <class T>
void Run<T>::restore(const RunState& state) {
  report_.steps_done = state.step;
  for (const Series& series : state.history) {
    if (series.name == "train_loss") report_.loss = series.values;
    if (series.name == "held_out_loss") report_.held_out_loss = series.values;
    if (series.name == "held_out_step")
      for (const double step : series.values) report_.held_out_step.push_back(static_cast<std::int64_t>(step));
  }
}

/// Fresh parameters, or those of the checkpoint.
template <class T>
std::optional<std::vector<Error>> Run<T>::begin() {
  executor_.initialize(scenario_.training.seed);
  if (options_.checkpoint.empty()) return std::nullopt;
  const Result<FoundCheckpoint> found = find_latest(options_.checkpoint);
  if (!found) return found.errors();
  if (!options_.resume) {
    if (!found->checkpoint) return std::nullopt;
    return std::vector{Error{options_.checkpoint.string(), "",
                             fmt::format("holds a run at step {}", found->checkpoint->state.step),
                             "add --resume to go on with it, or choose another folder"}};
  }
  for (const Error& refused : found->refused)
    if (options_.on_refused) options_.on_refused(refused);
  if (!found->checkpoint) return std::nullopt;
  const Checkpoint& checkpoint = *found->checkpoint;
  if (auto errors = differences(checkpoint.state, scenario_, identity(source_), options_.more_steps); !errors.empty())
    return errors;
  if (auto error = load_parameters(checkpoint, parameter_tensors(executor_))) return std::vector{*error};
  if (auto error = load_moments(checkpoint, moment_tensors(executor_))) return std::vector{*error};
  restore(checkpoint.state);
  report_.saved = checkpoint.folder;
  return std::nullopt;
}

/// All micro-batches of a step; gradients are left for the optimizer. Returns the mean loss.
template <class T>
double Run<T>::train_step(std::int64_t step) {
  const Training& t = scenario_.training;
  double sum = 0;
  for (std::int64_t m = 0; m < t.global_batch / t.micro_batch; ++m) {
    fill_batch(source_, {Split::train, step, m}, t.sequence, batch_.tokens, batch_.targets);
    sum += executor_.forward_backward(step, m, batch_.tokens, batch_.targets);
  }
  return sum / static_cast<double>(t.global_batch * t.sequence);
}

template <class T>
void Run<T>::evaluate_held_out(std::int64_t step) {
  double sum = 0;
  for (std::int64_t i = 0; i < options_.evaluation_batches; ++i) {
    fill_batch(source_, {Split::held_out, 0, i}, scenario_.training.sequence, batch_.tokens, batch_.targets);
    sum += executor_.evaluate(batch_.tokens, batch_.targets);
  }
  report_.held_out_step.push_back(step);
  report_.held_out_loss.push_back(sum / static_cast<double>(options_.evaluation_batches));
}

template <class T>
bool Run<T>::parameters_finite() {
  for (const ParameterView& p : executor_.parameters()) {
    const T* w = executor_.parameter(p.offset);
    for (std::int64_t i = 0; i < p.elements; ++i)
      if (!std::isfinite(w[i])) return false;
  }
  return true;
}

template <class T>
std::optional<Error> Run<T>::save() {
  const auto parameters = views(parameter_tensors(executor_)), moments = views(moment_tensors(executor_));
  const auto folder = save_checkpoint(options_.checkpoint, state(), parameters, moments);
  if (!folder) return folder.errors().front();
  report_.saved = *folder;
  return std::nullopt;
}

template <class T>
Error Run<T>::diverged(std::string_view what, double value) const {
  return {fmt::format("step {}", report_.steps_done + 1), fmt::format("{}", value),
          fmt::format("is the {}: the run has diverged", what),
          report_.saved.empty()
              ? "lower training.learning_rate or set training.gradient_clip=1"
              : fmt::format("lower training.learning_rate; the last good checkpoint is {}", report_.saved.string())};
}

template <class T>
Result<TrainReport> Run<T>::go() {
  const Training& t = scenario_.training;
  report_.first_step = report_.steps_done + 1;
  const auto fail = [&](std::string_view what, double value) {
    report_.end = TrainEnd::diverged;
    report_.diverged = diverged(what, value);
    return report_;
  };
  const auto due = [](std::int64_t step, std::int64_t interval) { return interval > 0 && step % interval == 0; };
  for (std::int64_t step = report_.first_step; step <= t.steps; ++step) {
    const auto begin = Clock::now();
    StepReport now{step, t.steps, train_step(step), learning_rate(t, step), 0, 0, std::nullopt};
    if (!std::isfinite(now.loss)) return fail("training loss", now.loss);
    now.gradient_norm = executor_.optimizer_step(step, now.learning_rate);
    if (!std::isfinite(now.gradient_norm)) return fail("norm of the gradient", now.gradient_norm);
    report_.seconds += since(begin);
    report_.steps_done = step;
    report_.loss.push_back(now.loss);
    now.tokens_per_s =
        static_cast<double>((step - report_.first_step + 1) * t.global_batch * t.sequence) / report_.seconds;
    report_.tokens_per_s = now.tokens_per_s;
    const bool last = step == t.steps;
    if (options_.evaluation_batches > 0 && (last || due(step, options_.evaluation_interval))) {
      evaluate_held_out(step);
      now.held_out_loss = report_.held_out_loss.back();
    }
    if (options_.on_step) options_.on_step(now);
    const bool stop = !last && options_.stop_requested && options_.stop_requested();
    if (!options_.checkpoint.empty() && (last || stop || due(step, options_.checkpoint_interval))) {
      if (!parameters_finite()) return fail("value of a parameter", std::nan(""));
      if (auto error = save()) return *error;
    }
    if (stop) {
      report_.end = TrainEnd::stopped;
      break;
    }
  }
  return report_;
}

template <class T>
Result<TrainReport> train_in(const Scenario& scenario, const TokenSource& source, const TrainOptions& options) {
  auto executor = cpu::Executor<T>::make(scenario, {.threads = options.threads});
  if (!executor) return executor.errors();
  Run<T> run(scenario, source, options, **executor);
  if (auto errors = run.begin()) return *errors;
  auto report = run.go();
  if (report) report->predicted_peak = evaluate(scenario, true).total;
  return report;
}

std::optional<Error> refuse_vocabulary(const Scenario& scenario, const TokenSource& source) {
  const std::int64_t needed = vocabulary_size(source);
  if (scenario.model.vocabulary_size >= needed) return std::nullopt;
  const bool text = std::holds_alternative<TextSource>(source);
  return Error{"/model/vocabulary_size", fmt::format("{}", scenario.model.vocabulary_size),
               fmt::format("is less than the {} tokens of {}", needed, text ? "text (bytes)" : "the Markov source"),
               fmt::format("set model.vocabulary_size={}", needed)};
}

}  // namespace

Scenario with_threads(Scenario scenario, int threads) {
  scenario.hardware.multiprocessors = threads;
  return scenario;
}

Result<TokenSource> open_source(const Scenario& scenario, const DataOptions& options) {
  const Training& t = scenario.training;
  if (options.files.empty()) {
    constexpr std::uint64_t table_seed = 1;  // docs/data.md prints this table's losses
    TokenSource source = make_markov_source(options.markov_symbols, table_seed, t.seed);
    if (auto error = refuse_vocabulary(scenario, source)) return *error;
    return source;
  }
  auto text = read_text_source(options.files, t.seed, t.sequence);
  if (!text) return text.errors();
  TokenSource source = std::move(text).value();
  if (auto error = refuse_vocabulary(scenario, source)) return *error;
  return source;
}

Result<TrainReport> train(const Scenario& scenario, const TokenSource& source, const TrainOptions& options) {
  const Scenario planned = with_threads(scenario, options.threads);
  if (auto error = refuse_vocabulary(planned, source)) return *error;
  if (auto error = refuse_beyond_memory(planned, options.free_memory)) return *error;
  return planned.training.precision == Precision::fp64 ? train_in<double>(planned, source, options)
                                                       : train_in<float>(planned, source, options);
}

}  // namespace dtcalc
