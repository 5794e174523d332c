// Attention for Hopper (sm_90a): wgmma, the copy engine and specialised warps; the same function as the kernels for
// sm_80 of attention_flash_*.cuh, chosen before them where it can be. Called by attention_flash.cu.
#pragma once

#include "kernels/attention.hpp"

namespace dtcalc::cuda {

/// Why the Hopper kernels do not take this problem, for a message; null when they do. `hopper`: of the device.
const char* hopper_refusal(const AttentionShape& shape, const AttentionOptions& options, bool hopper);

/// Whether the current device runs them: compute capability 9.0, and the library was built for sm_90a.
bool hopper_here();

/// As flash_forward and flash_backward, for head size H of 64 or 128 and T of bf16 or fp16; `along` (B, A, S) holds the
/// sums of dout · out. All pointers are aligned to 16 bytes.
template <class T, int H>
[[nodiscard]] cudaError_t hopper_forward(cudaStream_t stream, const AttentionShape& shape,
                                         const AttentionOptions& options, const T* q, const T* k, const T* v, T* out,
                                         float* log_sum_exp);
template <class T, int H>
[[nodiscard]] cudaError_t hopper_backward(cudaStream_t stream, const AttentionShape& shape,
                                          const AttentionOptions& options, const T* q, const T* k, const T* v,
                                          const float* log_sum_exp, const float* along, const T* dout, T* dq, T* dk,
                                          T* dv);

}  // namespace dtcalc::cuda
