// What every CUDA kernel's launcher is handed beside its operands, and the element types. Called by the CUDA backend
// (engine/cuda); the headers of this folder need <cuda_runtime_api.h> and any host compiler.
//
// Launchers mirror engine/cpu: same names, same argument order. Template parameters: T is the type of activations and
// weights (float, bf16, fp16), G that of parameter gradients (T or float). Statistics (mean, rstd, log-sum-exp, losses,
// tables of angles) are float always, and so is arithmetic. Pointers are device memory, shapes are row-major as on the
// CPU. A launcher only enqueues on the stream: no allocation, no synchronisation, so it can be captured in a graph. The
// bits of a result depend on the operands and shapes alone: no atomics on floating-point numbers, and sums over rows
// are cut at places that do not depend on the device.
//
// Each returns what the launch returned, or cudaErrorInvalidValue for a shape or a workspace it does not take (the
// header says which). Errors of the kernel itself come later, from the stream.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

struct __nv_bfloat16;
struct __half;

namespace dtcalc::cuda {

using bf16 = __nv_bfloat16;
using fp16 = __half;

/// Kernels that need scratch have a `…_workspace_bytes` function of the shapes; `workspace` (aligned to 256 bytes) must
/// hold at least that much until the kernel has run. Its content means nothing before and after.
struct Context {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  std::int64_t workspace_bytes = 0;
};

/// The scalars of a step that a captured graph must not bake in. Lies in device memory, written there between steps.
struct StepState {
  double learning_rate = 0;
  double gradient_factor = 1;  ///< on every gradient: clipping, loss scaling; clip_gradients writes it
  std::uint32_t step = 1;      ///< 1 for the first update; names the dropout masks and the rounding noise as well
  std::uint32_t skip = 0;      ///< not 0: the optimizer leaves everything as it is (a gradient that is not finite)
};

}  // namespace dtcalc::cuda
