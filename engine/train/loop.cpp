#include "engine/train/loop.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/fields.hpp"
#include "engine/engine.hpp"
#include "engine/refusal.hpp"
#include "engine/train/admission.hpp"
#include "engine/train/checkpoint.hpp"
#include "engine/train/hf_layout.hpp"
#include "engine/train/hf_weights.hpp"
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

class Run {
 public:
  Run(const Scenario& scenario, const TokenSource& source, const TrainOptions& options, Engine& engine)
      : scenario_(scenario), source_(source), options_(options), engine_(engine), batch_(scenario.training) {}

  std::optional<std::vector<Error>> begin();
  [[nodiscard]] std::optional<Error> export_weights();
  Result<TrainReport> go();

 private:
  std::optional<std::vector<Error>> start();
  Result<double> train_step(std::int64_t step);
  std::optional<std::vector<Error>> evaluate_held_out(std::int64_t step);
  std::optional<Error> save(const StateTensors& tensors);
  RunState state() const;
  void restore(const RunState& state);
  Error diverged(std::string_view what, double value) const;

  const Scenario& scenario_;
  const TokenSource& source_;
  const TrainOptions& options_;
  Engine& engine_;
  Batch batch_;
  TrainReport report_;
};

RunState Run::state() const {
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
  if (const LossScale scale = engine_.loss_scale(); scale.factor > 0)
    state.history.push_back({"loss_scale", {scale.factor, static_cast<double>(scale.steps)}});
  return state;
}

void Run::restore(const RunState& state) {
  report_.steps_done = state.step;
  for (const Series& series : state.history) {
    if (series.name == "train_loss") report_.loss = series.values;
    if (series.name == "held_out_loss") report_.held_out_loss = series.values;
    if (series.name == "held_out_step")
      for (const double step : series.values) report_.held_out_step.push_back(static_cast<std::int64_t>(step));
    if (series.name == "loss_scale" && series.values.size() == 2)
      engine_.set_loss_scale({series.values[0], static_cast<std::int64_t>(series.values[1])});
  }
}

/// Fresh parameters, or those of a model from elsewhere.
std::optional<std::vector<Error>> Run::start() {
  if (!options_.exported.empty())  // refused now rather than after the training
    if (const auto layout = hf_layout(scenario_.model, engine_.parameters()); !layout) return layout.errors();
  if (auto error = engine_.initialize(scenario_.training.seed)) return std::vector{*error};
  if (options_.weights.empty()) return std::nullopt;
  const Result<StateTensors> tensors = engine_.state();
  if (!tensors) return tensors.errors();
  if (auto error = load_hf_weights(options_.weights, {scenario_.model, engine_.parameters(), tensors->parameters}))
    return std::vector{*error};
  if (auto error = engine_.take_state()) return std::vector{*error};
  return std::nullopt;
}

/// Where the run starts, or what the checkpoint holds.
std::optional<std::vector<Error>> Run::begin() {
  if (auto errors = start()) return errors;
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
  const Result<StateTensors> tensors = engine_.state();
  if (!tensors) return tensors.errors();
  if (auto error = load_parameters(checkpoint, tensors->parameters)) return std::vector{*error};
  if (auto error = load_moments(checkpoint, tensors->moments)) return std::vector{*error};
  if (auto error = engine_.take_state()) return std::vector{*error};
  restore(checkpoint.state);
  report_.saved = checkpoint.folder;
  return std::nullopt;
}

/// All micro-batches of a step; gradients are left for the optimizer. Returns the mean loss.
Result<double> Run::train_step(std::int64_t step) {
  const Training& t = scenario_.training;
  double sum = 0;
  for (std::int64_t m = 0; m < t.global_batch / t.micro_batch; ++m) {
    fill_batch(source_, {Split::train, step, m}, t.sequence, batch_.tokens, batch_.targets);
    const Result<double> loss = engine_.forward_backward(step, m, batch_.tokens, batch_.targets);
    if (!loss) return loss;
    sum += *loss;
  }
  return sum / static_cast<double>(t.global_batch * t.sequence);
}

std::optional<std::vector<Error>> Run::evaluate_held_out(std::int64_t step) {
  double sum = 0;
  for (std::int64_t i = 0; i < options_.evaluation_batches; ++i) {
    fill_batch(source_, {Split::held_out, 0, i}, scenario_.training.sequence, batch_.tokens, batch_.targets);
    const Result<double> loss = engine_.evaluate(batch_.tokens, batch_.targets);
    if (!loss) return loss.errors();
    sum += *loss;
  }
  report_.held_out_step.push_back(step);
  report_.held_out_loss.push_back(sum / static_cast<double>(options_.evaluation_batches));
  return std::nullopt;
}

template <class T>
bool finite(std::span<const std::byte> bytes) {
  for (; bytes.size() >= sizeof(T); bytes = bytes.subspan(sizeof(T))) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    if (!std::isfinite(value)) return false;
  }
  return true;
}

bool all_finite(const std::vector<safetensors::TensorTarget>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const safetensors::TensorTarget& t) {
    return t.type == safetensors::Type::f64 ? finite<double>(t.data) : finite<float>(t.data);
  });
}

std::optional<Error> Run::save(const StateTensors& tensors) {
  const auto parameters = views(tensors.parameters), moments = views(tensors.moments);
  const auto folder = save_checkpoint(options_.checkpoint, state(), parameters, moments);
  if (!folder) return folder.errors().front();
  report_.saved = *folder;
  return std::nullopt;
}

std::optional<Error> Run::export_weights() {
  if (options_.exported.empty()) return std::nullopt;
  const Result<StateTensors> tensors = engine_.state();
  if (!tensors) return tensors.errors().front();
  return save_hf_weights(options_.exported, {scenario_.model, engine_.parameters(), tensors->parameters});
}

Error Run::diverged(std::string_view what, double value) const {
  return {fmt::format("step {}", report_.steps_done + 1), fmt::format("{}", value),
          fmt::format("is the {}: the run has diverged", what),
          report_.saved.empty()
              ? "lower training.learning_rate or set training.gradient_clip=1"
              : fmt::format("lower training.learning_rate; the last good checkpoint is {}", report_.saved.string())};
}

Result<TrainReport> Run::go() {
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
    const Result<double> loss = train_step(step);
    if (!loss) return loss.errors();
    StepReport now{step, t.steps, *loss, learning_rate(t, step), 0, 0, std::nullopt};
    if (!std::isfinite(now.loss)) return fail("training loss", now.loss);
    const Result<Update> update = engine_.optimizer_step(step, now.learning_rate);
    if (!update) return update.errors();
    now.gradient_norm = update->gradient_norm;
    if (!update->skipped && !std::isfinite(now.gradient_norm)) return fail("norm of the gradient", now.gradient_norm);
    report_.seconds += since(begin);
    report_.steps_done = step;
    report_.loss.push_back(now.loss);
    now.tokens_per_s =
        static_cast<double>((step - report_.first_step + 1) * t.global_batch * t.sequence) / report_.seconds;
    report_.tokens_per_s = now.tokens_per_s;
    const bool last = step == t.steps;
    if (options_.evaluation_batches > 0 && (last || due(step, options_.evaluation_interval))) {
      if (auto errors = evaluate_held_out(step)) return *errors;
      now.held_out_loss = report_.held_out_loss.back();
    }
    if (options_.on_step) options_.on_step(now);
    const bool stop = !last && options_.stop_requested && options_.stop_requested();
    if (!options_.checkpoint.empty() && (last || stop || due(step, options_.checkpoint_interval))) {
      const Result<StateTensors> tensors = engine_.state();
      if (!tensors) return tensors.errors();
      if (!all_finite(tensors->parameters)) return fail("value of a parameter", std::nan(""));
      if (auto error = save(*tensors)) return *error;
    }
    if (stop) {
      report_.end = TrainEnd::stopped;
      break;
    }
  }
  return report_;
}

std::optional<Error> refuse_model(const Scenario& scenario, const TokenSource& source) {
  if (auto error = refuse_everywhere(scenario)) return error;
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
    if (auto error = refuse_model(scenario, source)) return *error;
    return source;
  }
  auto text = read_text_source(options.files, t.seed, t.sequence);
  if (!text) return text.errors();
  TokenSource source = std::move(text).value();
  if (auto error = refuse_model(scenario, source)) return *error;
  return source;
}

Result<TrainReport> train(const Scenario& scenario, const TokenSource& source, const TrainOptions& options) {
  const Scenario planned = options.device.cuda ? scenario : with_threads(scenario, options.threads);
  if (auto error = refuse_model(planned, source)) return *error;
  if (auto error = refuse_beyond_memory(planned, options.free_memory)) return *error;
  EngineOptions engine_options;
  engine_options.device = options.device;
  engine_options.threads = options.threads;
  const auto engine = make_engine(planned, engine_options);
  if (!engine) return engine.errors();
  Run run(planned, source, options, **engine);
  if (auto errors = run.begin()) return *errors;
  auto report = run.go();
  if (report && report->end != TrainEnd::diverged)
    if (auto error = run.export_weights()) return *error;
  if (report) report->predicted_peak = evaluate(planned, true).total;
  return report;
}

}  // namespace dtcalc
