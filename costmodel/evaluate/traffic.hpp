// Communication of one rank: the collectives inside a program (7.2-7.4), and the gradients, parameters and states that
// data ranks share (ZeRO). Called by evaluate.
#pragma once

#include "costmodel/evaluate/law.hpp"
#include "costmodel/schedule/bound.hpp"

namespace dtcalc {

/// Cost of a collective kernel; `values` from evaluate_extents.
KernelCost collective_kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes,
                                  const std::int64_t* values);

/// The collectives of one program, one micro-batch.
class ProgramTraffic {
 public:
  explicit ProgramTraffic(const Layout& layout) : layout_(layout) {}

  void add(const Kernel& kernel, const KernelCost& cost);
  /// Attention that runs while keys and values travel. A ring of R ranks computes R times and travels R - 1 times.
  void hide_ring_behind(double attention_s) { attention_s_ += attention_s; }

  double sent_bytes(Axis axis) const { return sent_bytes_[static_cast<int>(axis)]; }
  double exposed_tensor() const { return tensor_s_; }
  double exposed_data() const { return data_s_; }
  /// What is left of the ring's transfers when each hides behind one iteration of attention.
  double exposed_ring() const;

 private:
  const Layout& layout_;
  std::array<double, kAxes> sent_bytes_{};
  double tensor_s_ = 0, data_s_ = 0, ring_s_ = 0, attention_s_ = 0;
};

/// One reduction of gradients and one gathering of weights among the ranks that hold the same parameters: of bytes that
/// this rank would have whole. ZeRO 3 gathers all weights, 1 and 2 those that were trained.
struct StateExchange {
  CollectiveCost reduce, gather;
};
StateExchange state_exchange(double gathered_bytes, double trained_bytes, double gradient_bytes, const Layout& layout);

/// What the ranks that hold the same parameters exchange in one step, for one stage.
struct StateTraffic {
  double sent_bytes = 0;
  double exposed_forward_s = 0;   ///< in the forward pass of every micro-batch (ZeRO 3)
  double exposed_backward_s = 0;  ///< in its backward pass (ZeRO 2, 3)
  double exposed_at_end_s = 0;    ///< after the last backward pass
};

/// ZeRO 0 all-reduces the gradients; 1 and 2 reduce-scatter them and gather the weights that were updated; 3 gathers
/// the weights before either pass of every micro-batch and reduce-scatters every micro-batch's gradients. Stacks that
/// overlap hide the reduction behind the last micro-batch's backward pass and the gathering behind the passes that use
/// it, but for the first or last layer's share. `gathered_bytes` (of its weights as they
/// travel) and `trained` are the stage's, on this rank;
/// `seconds` per micro-batch.
StateTraffic state_traffic(double gathered_bytes, std::int64_t trained, const Sizes& sizes,
                           const StageSeconds& seconds);

}  // namespace dtcalc
