// Runs the programs of a structure on the CPU kernels. It decides nothing: kernels, buffers and offsets come from the
// structure and its memory plan; the executor finds the pointers, calls the kernel that implements each contract, and
// puts a clock around every group.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/binding.hpp"
#include "engine/cpu/arena.hpp"
#include "engine/cpu/context.hpp"
#include "engine/engine.hpp"

namespace dtcalc::cpu {

struct ExecutorOptions {
  int threads = 1;
#ifdef NDEBUG
  bool check_memory = false;
#else
  bool check_memory = true;
#endif
  std::int64_t slack_bytes = 0;  ///< arena beyond the plan, to see that nobody touches it
};

/// `check_memory` puts 64 guard bytes behind every buffer, fills scratch with NaN before its first use, and looks at
/// the guards after every step. T is float or double, as the scenario's precision says.
template <class T>
class Executor {
 public:
  /// Plans and maps the arena. Errors: no memory; a stack or a feature that the CPU kernels do not implement.
  static Result<std::unique_ptr<Executor>> make(const Scenario& scenario, const ExecutorOptions& options);
  ~Executor();

  const Binding& training() const { return training_; }
  const Scenario& scenario() const { return scenario_; }
  const std::vector<ParameterView>& parameters() const { return parameters_; }
  T* parameter(std::int64_t offset = 0) { return at<T>(training_.plan.parameters) + offset; }
  /// Of the trained parameter at `offset`.
  T* gradient(std::int64_t offset = 0) { return at<T>(training_.plan.gradients) + offset; }
  /// Moment 0 or 1 of the trained parameter at `offset`.
  T* moment(int which, std::int64_t offset = 0) {
    return at<T>(training_.plan.moments) + which * training_.plan.elements.trained + offset;
  }
  int moments() const { return training_.sizes.state.moments; }

  /// Fresh parameters from `seed`, moments zero: normal with standard deviation 0.5 / sqrt(D) (GPT-2's 0.02 at D = 600
  /// and scale-free), projections into the residual stream smaller by sqrt(2 L); norms one, biases zero.
  void initialize(std::uint64_t seed);

  void zero_gradients();
  /// Forward and backward of one micro-batch; gradients accumulate with weight 1 / (tokens of the global batch).
  /// Returns the sum of the losses in nats. tokens and targets (B, S).
  double forward_backward(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                          std::span<const std::int32_t> targets);
  /// The forward pass of the training step alone, dropout included: the sum of the losses.
  double forward_loss(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                      std::span<const std::int32_t> targets);
  /// Clips by the global norm, updates the parameters. `step` counts from 1. Returns the gradient norm before clipping
  /// (0 when clipping is off).
  double optimizer_step(std::int64_t step, double learning_rate);

  /// Mean loss of (B, S) tokens without dropout and without saving anything.
  double evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets);
  /// Logits (S, V) of one sequence of at most `training.sequence` tokens, valid until the next call.
  std::span<const T> logits(std::span<const std::int32_t> tokens);

  std::vector<GroupMeasurement> measurements() const;
  void reset_measurements();
  std::uint64_t counted_flop() const { return flop_.total(); }
  std::int64_t arena_touched() const { return arena_.touched(); }
  std::int64_t arena_bytes() const { return arena_.size(); }
  /// Offset of the first overwritten guard byte, or -1.
  std::int64_t broken_guard() const;

 private:
  Executor(const Scenario& scenario, const ExecutorOptions& options, Arena arena, Binding training);

  template <class U>
  U* at(std::int64_t offset) const {
    return reinterpret_cast<U*>(arena_.data() + offset);
  }
  Context context();
  void run(const Binding& binding, std::int64_t layer, bool forward);
  void run_kernel(const Binding& binding, const LoweredSegment& segment, const Program& program, const Kernel& kernel,
                  std::int64_t layer, bool forward);
  T* pointer(const Binding& binding, const LoweredSegment& segment, const Program& program, TensorId tensor,
             std::int64_t layer, bool forward) const;
  void poison_scratch(const Binding& binding, const Program& program, int kernel, int segment, bool forward);
  void load_inputs(const Binding& binding, std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets);
  void forward_pass(const Binding& binding);

  Scenario scenario_;
  ExecutorOptions options_;
  Arena arena_;
  Binding training_, evaluation_;
  std::unique_ptr<Binding> generation_;  ///< made for the length last asked for
  std::vector<ParameterView> parameters_;
  std::vector<T> rope_cosine_, rope_sine_;
  std::vector<double> alibi_;
  std::unique_ptr<ThreadPool> pool_;
  mutable FlopCounter flop_;
  std::vector<GroupMeasurement> measured_;  ///< training: segment x (forward, backward) x group, then the optimizer
  std::vector<std::size_t> measured_from_;
  // Of the step being run: keys of dropout masks, weight of the loss, the last loss.
  std::uint32_t step_ = 0, micro_batch_ = 0;
  double loss_factor_ = 0, loss_sum_ = 0;
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace dtcalc::cpu
