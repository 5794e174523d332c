#include "engine/cpu/engine.hpp"

#include <algorithm>

#include "engine/cpu/executor.hpp"
#include "engine/memory.hpp"
#include "engine/train/tensors.hpp"

namespace dtcalc::cpu {
namespace {

/// Parameters and moments lie in host memory already: the state is the arena itself.
template <class T>
class CpuEngine final : public Engine {
 public:
  explicit CpuEngine(std::unique_ptr<Executor<T>> executor) : executor_(std::move(executor)) {}

  const Binding& training() const override { return executor_->training(); }
  const std::vector<ParameterView>& parameters() const override { return executor_->parameters(); }
  std::optional<Error> initialize(std::uint64_t seed) override {
    executor_->initialize(seed);
    return std::nullopt;
  }
  Result<double> forward_backward(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                                  std::span<const std::int32_t> targets) override {
    return executor_->forward_backward(step, micro_batch, tokens, targets);
  }
  Result<Update> optimizer_step(std::int64_t step, double learning_rate) override {
    return Update{executor_->optimizer_step(step, learning_rate), false};
  }
  Result<double> evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets) override {
    return executor_->evaluate(tokens, targets);
  }
  Result<std::vector<float>> next_logits(std::span<const std::int32_t> tokens) override {
    const auto vocabulary = static_cast<std::size_t>(executor_->scenario().model.vocabulary_size);
    const std::span<const T> row = executor_->logits(tokens).subspan((tokens.size() - 1) * vocabulary, vocabulary);
    std::vector<float> logits(vocabulary);
    std::transform(row.begin(), row.end(), logits.begin(), [](T z) { return static_cast<float>(z); });
    return logits;
  }
  Result<StateTensors> state() override {
    const std::int64_t stride = training().plan.elements.trained;
    return StateTensors{parameter_tensors(parameters(), executor_->parameter()),
                        moment_tensors(parameters(), executor_->moment(0), executor_->moments(), stride)};
  }
  std::optional<Error> take_state() override { return std::nullopt; }
  std::vector<GroupMeasurement> measurements() override { return executor_->measurements(); }
  void reset_measurements() override { executor_->reset_measurements(); }
  Result<std::int64_t> arena_touched() override { return executor_->arena_touched(); }
  Bytes memory_beside_arena() const override {
    return process_memory().value_or(Bytes(0)) - Bytes(executor_->arena_bytes());
  }

 private:
  std::unique_ptr<Executor<T>> executor_;
};

template <class T>
Result<std::unique_ptr<Engine>> make(const Scenario& scenario, const EngineOptions& options) {
  ExecutorOptions executor_options;
  executor_options.threads = options.threads;
  executor_options.check_memory = executor_options.check_memory && options.check_memory;
  executor_options.slack_bytes = options.slack_bytes;
  auto executor = Executor<T>::make(scenario, executor_options);
  if (!executor) return executor.errors();
  return std::unique_ptr<Engine>(std::make_unique<CpuEngine<T>>(std::move(executor).value()));
}

}  // namespace

Result<std::unique_ptr<Engine>> make_cpu_engine(const Scenario& scenario, const EngineOptions& options) {
  return scenario.training.precision == Precision::fp64 ? make<double>(scenario, options)
                                                        : make<float>(scenario, options);
}

}  // namespace dtcalc::cpu
