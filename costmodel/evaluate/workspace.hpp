// Scratch that this program's kernels ask for beside their operands: part of their contract, held against the kernels'
// own functions by tests.
#pragma once

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The largest workspace of any CPU kernel of this scenario, for a pool of `scenario.hardware.multiprocessors` threads.
Bytes cpu_workspace(const Scenario& scenario, bool training);

/// Steps that a scale of fp8 looks back on: the default of Transformer Engine's delayed scaling (amax_history_len in
/// the documentation of `recipe.DelayedScaling`).
inline constexpr std::int64_t kFp8HistorySteps = 1024;

/// What the CUDA backend keeps beside operands, in this order; each part starts at a multiple of 256 bytes.
struct CudaWorkspace {
  Bytes scalars{0};    ///< state of the step, loss, norm
  Bytes tables{0};     ///< cosines and sines of rotary positions, slopes of ALiBi
  Bytes scales{0};     ///< of fp8: per layer and scale a history of largest magnitudes, the last one, scale and inverse
  Bytes temporary{0};  ///< of one kernel or matrix product at a time
  Bytes total() const { return scalars + tables + scales + temporary; }
};

/// Nothing for evaluation, which borrows that of training.
CudaWorkspace cuda_workspace(const Scenario& scenario, bool training);

/// Whether the kernels for Hopper may run there: a profile need not say of which architecture a device is.
bool may_be_hopper(GpuArchitecture architecture);

}  // namespace dtcalc
