// What training, checkpoints, generation and validation ask of a backend, whichever device it runs on. The CPU's is
// engine/cpu/engine.cpp, the GPU's engine/cuda/engine.cpp; `make_engine` chooses between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/binding.hpp"
#include "engine/device.hpp"
#include "engine/io/safetensors.hpp"

namespace dtcalc {

/// What was measured of one group: sums over its calls since `reset_measurements`.
struct GroupMeasurement {
  int segment = 0;  ///< index into MemoryPlan::segment
  const Group* group = nullptr;
  std::int64_t calls = 0;
  double seconds = 0;
  std::uint64_t flop = 0;  ///< counted where the arithmetic is called
};

/// A measurement per group of the training step: segment x (forward, backward) x group, then the optimizer's two.
/// `from` receives the index of the first group of segment s at 2 s (forward) and 2 s + 1 (backward), and that of the
/// optimizer last.
std::vector<GroupMeasurement> group_clocks(const Binding& training, std::vector<std::size_t>& from);

/// The training state in host memory under the names that a checkpoint knows: matrices (rows, columns), vectors
/// (elements), the moments of trained parameters as `NAME.first_moment`, `NAME.second_moment`.
struct StateTensors {
  std::vector<safetensors::TensorTarget> parameters, moments;
};

/// The factor on an fp16 loss and the steps since it last changed; factor 0: the precision needs none.
struct LossScale {
  double factor = 0;
  std::int64_t steps = 0;
};

struct Update {
  double gradient_norm = 0;  ///< before clipping; 0 when clipping is off
  bool skipped = false;      ///< fp16: a gradient was not finite, parameters and moments stay, the loss scale halves
};

/// One replica of a model in training. Errors after construction are those of a device that fails.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual const Binding& training() const = 0;
  virtual const std::vector<ParameterView>& parameters() const = 0;

  /// Fresh parameters from `seed`, moments and gradients zero.
  [[nodiscard]] virtual std::optional<Error> initialize(std::uint64_t seed) = 0;
  /// Forward and backward of one micro-batch; gradients accumulate with weight 1 / (tokens of the global batch).
  /// Returns the sum of the losses in nats. tokens and targets (B, S).
  virtual Result<double> forward_backward(std::int64_t step, std::int64_t micro_batch,
                                          std::span<const std::int32_t> tokens,
                                          std::span<const std::int32_t> targets) = 0;
  /// Clips by the global norm, updates the parameters, zeroes the gradients. `step` counts from 1.
  virtual Result<Update> optimizer_step(std::int64_t step, double learning_rate) = 0;
  /// Mean loss of (B, S) tokens without dropout and without saving anything.
  virtual Result<double> evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets) = 0;
  /// Logits (V) behind the last of at most `training.sequence` tokens.
  virtual Result<std::vector<float>> next_logits(std::span<const std::int32_t> tokens) = 0;

  /// The state as it is now. The memory belongs to the engine and stays where it is.
  virtual Result<StateTensors> state() = 0;
  /// Takes over what was written into the memory of `state()`.
  [[nodiscard]] virtual std::optional<Error> take_state() = 0;
  virtual LossScale loss_scale() const { return {}; }
  virtual void set_loss_scale(const LossScale&) {}

  virtual std::vector<GroupMeasurement> measurements() = 0;
  virtual void reset_measurements() = 0;
  /// Bytes of the arena up to and including the last one that was ever written (a scan of untouched poison).
  virtual Result<std::int64_t> arena_touched() = 0;
  /// Memory that the device lost to this engine beside its arena: libraries, context, code.
  virtual Bytes memory_beside_arena() const = 0;
};

struct EngineOptions {
  DeviceChoice device;
  int threads = 1;               ///< of the CPU backend
  bool clocks = false;           ///< the GPU backend times every group (the CPU's always does)
  bool graphs = true;            ///< the GPU backend replays a step as CUDA graphs
  bool check_memory = true;      ///< guard bytes and poison in builds without NDEBUG (CPU)
  std::int64_t slack_bytes = 0;  ///< arena beyond the plan, to see that nobody touches it
};

/// Plans and allocates. Errors: a device that is not there (kind `device`), memory (kind `memory`), a stack or a
/// feature that the backend does not implement.
Result<std::unique_ptr<Engine>> make_engine(const Scenario& scenario, const EngineOptions& options);

}  // namespace dtcalc
