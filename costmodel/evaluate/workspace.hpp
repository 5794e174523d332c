// Scratch that this program's kernels ask for beside their operands: part of their contract, held against the kernels'
// own functions by tests.
#pragma once

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The largest workspace of any CPU kernel of this scenario, for a pool of `scenario.hardware.multiprocessors` threads.
Bytes cpu_workspace(const Scenario& scenario, bool training);

/// What the CUDA backend keeps beside operands, in this order; each part starts at a multiple of 256 bytes.
struct CudaWorkspace {
  Bytes scalars{0};    ///< state of the step, loss, norm
  Bytes tables{0};     ///< cosines and sines of rotary positions, slopes of ALiBi
  Bytes temporary{0};  ///< of one kernel or matrix product at a time
  Bytes total() const { return scalars + tables + temporary; }
};

/// Nothing for evaluation, which borrows that of training.
CudaWorkspace cuda_workspace(const Scenario& scenario, bool training);

}  // namespace dtcalc
