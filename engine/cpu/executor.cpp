// Life of an executor: arena, parameters, the order of programs in a step, measurements. Kernels are called in
// executor_kernels.cpp.
#include "engine/cpu/executor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "engine/cpu/attention.hpp"
#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/initialize.hpp"
#include "engine/cpu/norm.hpp"
#include "engine/cpu/optimizer.hpp"
#include "engine/cpu/workspace.hpp"
#include "engine/placement.hpp"
#include "engine/refusal.hpp"

namespace dtcalc::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kGuard = 64;

/// What the scenario asks and these kernels cannot do.
template <class T>
std::optional<Error> refusal(const Scenario& s) {
  const Choices c = choices_of(s, true);
  if (s.software.id != "dtcalc-cpu")
    return Error{"/software", s.software.id, "is not a stack that runs on a CPU", "use dtcalc-cpu"};
  const Precision wanted = std::is_same_v<T, double> ? Precision::fp64 : Precision::fp32;
  if (s.training.precision != wanted)
    return Error{"/training/precision", "", "the CPU engine computes in fp32 or fp64", "set training.precision=fp32"};
  if (c.autocast || !c.fuse_softmax || !c.fuse_loss || c.store_dropout_masks || !c.save_norm_statistics)
    return Error{"/software", s.software.id, "was changed into a stack that the CPU kernels do not implement",
                 "use the preset dtcalc-cpu as it is"};
  return refuse_everywhere(s);
}

}  // namespace

template <class T>
Result<std::unique_ptr<Executor<T>>> Executor<T>::make(const Scenario& scenario, const ExecutorOptions& options) {
  if (auto error = refusal<T>(scenario)) return *error;
  if (options.threads != scenario.hardware.multiprocessors)
    return Error{"/hardware/multiprocessors", fmt::format("{}", scenario.hardware.multiprocessors),
                 fmt::format("is not the number of threads of this run ({})", options.threads),
                 "plan for the threads that run: workspaces are per thread"};
  Binding training = bind_training(scenario, options.check_memory ? kGuard : 0);
  const Binding forward = bind_forward(scenario, training, scenario.training.micro_batch, scenario.training.sequence);
  const std::int64_t bytes = std::max(training.plan.total, forward.plan.total + forward.shift) + options.slack_bytes;
  auto arena = Arena::make(bytes);
  if (!arena) return arena.errors();
  std::unique_ptr<Executor> executor(new Executor(scenario, options, std::move(arena).value(), std::move(training)));
  executor->evaluation_ = forward;
  if (scenario.model.position == Position::rope) {
    const std::int64_t half = rotary_size(scenario.model) / 2;
    executor->rope_cosine_.resize(static_cast<std::size_t>(scenario.training.sequence * half));
    executor->rope_sine_.resize(executor->rope_cosine_.size());
    if (auto error = fill_rope_table<T>(scenario.model.rope, scenario.model.head_size, 0, scenario.training.sequence,
                                        executor->rope_cosine_.data(), executor->rope_sine_.data()))
      return *error;
  }
  if (scenario.model.position == Position::alibi) executor->alibi_ = alibi_slopes(scenario.model.heads);
  return executor;
}

template <class T>
Executor<T>::Executor(const Scenario& scenario, const ExecutorOptions& options, Arena arena, Binding training)
    : scenario_(scenario),
      options_(options),
      arena_(std::move(arena)),
      training_(std::move(training)),
      parameters_(list_parameters(training_)),
      pool_(std::make_unique<ThreadPool>(options.threads)),
      flop_(options.threads) {
  measured_ = group_clocks(training_, measured_from_);
}

template <class T>
Executor<T>::~Executor() = default;

template <class T>
Context Executor<T>::context() {
  return {*pool_,
          flop_,
          {at<std::byte>(training_.plan.workspace), static_cast<std::size_t>(training_.sizes.workspace.value())}};
}

template <class T>
void Executor<T>::initialize(std::uint64_t seed) {
  initialize_parameters(*pool_, scenario_.model, seed, parameters_, parameter());
  for (int m = 0; m < moments(); ++m)
    for (const ParameterView& p : parameters_)
      if (p.trained) std::fill_n(moment(m, p.offset), p.elements, T(0));
  zero_gradients();
}

template <class T>
void Executor<T>::zero_gradients() {
  pool_->parallel_for(static_cast<std::int64_t>(parameters_.size()), 1, [&](std::int64_t from, std::int64_t to, int) {
    for (std::int64_t i = from; i < to; ++i) {
      const ParameterView& p = parameters_[static_cast<std::size_t>(i)];
      if (p.trained) std::fill_n(gradient(p.offset), p.elements, T(0));
    }
  });
}

template <class T>
T* Executor<T>::pointer(const Binding& b, const LoweredSegment& s, const Program& program, TensorId tensor,
                        std::int64_t layer, bool forward) const {
  const std::int64_t offset = offset_of(b, s, program, tensor, layer, forward);
  return offset == kNowhere ? nullptr : at<T>(offset);
}

template <class T>
void Executor<T>::load_inputs(const Binding& b, std::span<const std::int32_t> tokens,
                              std::span<const std::int32_t> targets) {
  std::copy(tokens.begin(), tokens.end(), at<std::int32_t>(b.plan.tokens + b.shift));
  std::copy(targets.begin(), targets.end(), at<std::int32_t>(b.plan.targets + b.shift));
}

template <class T>
void Executor<T>::forward_pass(const Binding& b) {
  loss_sum_ = 0;
  for (std::int64_t layer = -1; layer <= b.layers; ++layer) run(b, layer, true);
}

template <class T>
double Executor<T>::forward_loss(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                                 std::span<const std::int32_t> targets) {
  step_ = static_cast<std::uint32_t>(step);
  micro_batch_ = static_cast<std::uint32_t>(micro_batch);
  loss_factor_ = 1.0 / static_cast<double>(training_.rows() * training_.sizes.micro_batches);
  load_inputs(training_, tokens, targets);
  forward_pass(training_);
  return loss_sum_;
}

template <class T>
double Executor<T>::forward_backward(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                                     std::span<const std::int32_t> targets) {
  const double loss = forward_loss(step, micro_batch, tokens, targets);
  for (std::int64_t layer = training_.layers - 1; layer >= -1; --layer) run(training_, layer, false);
  return loss;
}

template <class T>
double Executor<T>::evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets) {
  load_inputs(evaluation_, tokens, targets);
  forward_pass(evaluation_);
  return loss_sum_ / static_cast<double>(evaluation_.rows());
}

template <class T>
std::span<const T> Executor<T>::logits(std::span<const std::int32_t> tokens) {
  const std::int64_t length = scenario_.training.sequence;
  if (!generation_) generation_ = std::make_unique<Binding>(bind_forward(scenario_, training_, 1, length));
  const Binding& b = *generation_;
  std::vector<std::int32_t> padded(static_cast<std::size_t>(length), 0);  // later positions do not reach earlier ones
  std::copy(tokens.begin(), tokens.end(), padded.begin());
  load_inputs(b, padded, padded);
  forward_pass(b);
  const LoweredSegment& head = b.structure->epilogue;
  for (const Kernel& k : head.forward.kernels)
    if (k.contract == Contract::loss)
      return {pointer(b, head, head.forward, k.operands[0], b.layers, true),
              static_cast<std::size_t>(length * scenario_.model.vocabulary_size)};
  return {};
}

template <class T>
double Executor<T>::optimizer_step(std::int64_t step, double learning_rate) {
  const Training& t = scenario_.training;
  Context context = this->context();
  const std::size_t from = measured_from_.back();
  double norm = 0, factor = 1;
  const auto begin = Clock::now();
  if (t.gradient_clip > 0) {
    for (const ParameterView& p : parameters_)
      if (p.trained) norm += squared_norm(context, p.elements, gradient(p.offset));
    norm = std::sqrt(norm);
    if (norm > t.gradient_clip) factor = t.gradient_clip / norm;
  }
  const auto middle = Clock::now();
  for (const ParameterView& p : parameters_) {
    if (!p.trained) continue;
    const double decay = p.columns > 0 ? t.weight_decay : 0;  // norms and biases are not decayed
    T* w = parameter(p.offset);
    const T* g = gradient(p.offset);
    if (t.optimizer == Optimizer::adamw)
      adamw(context, {learning_rate, t.beta1, t.beta2, t.epsilon, decay, step, factor}, p.elements, w, g,
            moment(0, p.offset), moment(1, p.offset));
    else
      sgd(context, {learning_rate, t.optimizer == Optimizer::momentum ? t.momentum : 0, decay, factor}, p.elements, w,
          g, t.optimizer == Optimizer::momentum ? moment(0, p.offset) : nullptr);
  }
  zero_gradients();
  const auto end = Clock::now();
  measured_[from].calls += 1;
  measured_[from].seconds += std::chrono::duration<double>(middle - begin).count();
  measured_[from + 1].calls += 1;
  measured_[from + 1].seconds += std::chrono::duration<double>(end - middle).count();
  return norm;
}

template <class T>
void Executor<T>::run(const Binding& b, std::int64_t layer, bool forward) {
  const LoweredSegment& segment = segment_of(b, layer);
  const Program& program = forward ? segment.forward : segment.backward;
  const int index = b.segment_index[static_cast<std::size_t>(layer + 1)];
  const bool measure = &b == &training_;
  const std::size_t from = measure ? measured_from_[static_cast<std::size_t>(2 * index + (forward ? 0 : 1))] : 0;
  std::size_t k = 0;
  for (std::size_t g = 0; g < program.groups.size(); ++g) {
    const std::uint64_t flop = flop_.total();
    const auto begin = Clock::now();
    for (; k < program.kernels.size() && program.kernels[k].group == g; ++k) {
      if (options_.check_memory) poison_scratch(b, program, static_cast<int>(k), index, forward);
      run_kernel(b, segment, program, program.kernels[k], layer, forward);
    }
    if (!measure) continue;
    GroupMeasurement& m = measured_[from + g];
    m.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    m.flop += flop_.total() - flop;
    ++m.calls;
  }
}

template <class T>
void Executor<T>::poison_scratch(const Binding& b, const Program& program, int kernel, int segment, bool forward) {
  const SegmentPlan& plan = b.plan.segment[segment];
  for (std::size_t i = 0; i < program.scratch.size(); ++i) {
    if (program.scratch[i].first != kernel) continue;
    const std::int64_t bytes =
        bytes_of(b.values[program.scratch[i].extent], b.sizes.half_bytes[static_cast<int>(program.scratch[i].width)]);
    std::memset(at<std::byte>(b.plan.scratch + b.shift + (forward ? plan.forward : plan.backward)[i]),
                std::to_integer<int>(kPoison), static_cast<std::size_t>(bytes));
  }
}

template <class T>
std::int64_t Executor<T>::broken_guard() const {
  // Saved slots and the arena's tail keep their guards through a step; scratch guards move with the programs.
  const auto whole = [&](std::int64_t offset) {
    for (std::int64_t i = 0; i < training_.sizes.guard; ++i)
      if (arena_.data()[offset + i] != kPoison) return false;
    return true;
  };
  for (const ParameterView& p : parameters_) {
    const std::int64_t offset =
        training_.plan.parameters + (p.offset + p.elements) * static_cast<std::int64_t>(sizeof(T));
    if (!whole(offset)) return offset;
  }
  for (std::int64_t layer = -1; layer < training_.layers; ++layer) {
    const std::size_t index = static_cast<std::size_t>(layer + 1);
    const LoweredSegment& s = segment_of(training_, layer);
    for (std::size_t i = 0; i < s.saved.size(); ++i) {
      const std::int64_t offset =
          training_.plan.slots + training_.slot_start[index] +
          training_.plan.segment[training_.segment_index[index]].saved[i] +
          bytes_of(training_.values[s.saved[i].extent], training_.sizes.half_bytes[static_cast<int>(s.saved[i].width)]);
      if (!whole(offset)) return offset;
    }
  }
  return whole(training_.plan.total - training_.sizes.guard) ? -1 : training_.plan.total - training_.sizes.guard;
}

template <class T>
std::vector<GroupMeasurement> Executor<T>::measurements() const {
  return measured_;
}

template <class T>
void Executor<T>::reset_measurements() {
  for (GroupMeasurement& m : measured_) m.calls = 0, m.seconds = 0, m.flop = 0;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace dtcalc::cpu
