// Attention for Hopper (sm_90a): wgmma, the copy engine and specialised warps; the same function as the kernels for
// sm_80 of attention_flash_*.cuh, chosen before them where it can be. Called by attention_flash.cu.
#pragma once

#include "kernels/attention.hpp"

namespace dtcalc::cuda {

/// Why the Hopper kernels do not take this problem, for a message; null when they do. `hopper`: of the device.
const char* hopper_refusal(const AttentionShape& shape, const AttentionOptions& options, bool hopper);

/// Whether the current device runs them: compute capability 9.0, and the library was built for sm_90a.
bool hopper_here();

/// A tile of the backward pass.
inline constexpr std::int64_t hopper_backward_keys = 128;
constexpr std::int64_t hopper_backward_queries(std::int64_t head_size) { return 8192 / head_size; }

/// What the backward pass keeps beside its operands.
struct HopperBackwardMemory {
  std::int64_t tiles = 0;     ///< of queries, per head
  std::int64_t levels = 0;    ///< tiles of keys, per kv head
  std::int64_t parts = 1;     ///< blocks that share a level's query heads
  std::int64_t sums = 0;      ///< floats of dQ, in whole tiles
  std::int64_t of_parts = 0;  ///< floats of dK, and as many of dV, of all parts; 0 where there is one
  std::int64_t counts = 0;    ///< a 32-bit count for each tile

  std::int64_t bytes() const { return 4 * (sums + 2 * of_parts + counts); }
};
HopperBackwardMemory hopper_backward_memory(const AttentionShape& shape);

/// As flash_forward and flash_backward, for head size H of 64 or 128 and T of bf16 or fp16; `along` (B, A, S) holds the
/// sums of dout · out, `memory` is hopper_backward_memory(shape).bytes() of scratch. All pointers are aligned to 16
/// bytes.
template <class T, int H>
[[nodiscard]] cudaError_t hopper_forward(cudaStream_t stream, const AttentionShape& shape,
                                         const AttentionOptions& options, const T* q, const T* k, const T* v, T* out,
                                         float* log_sum_exp);
template <class T, int H>
[[nodiscard]] cudaError_t hopper_backward(cudaStream_t stream, const AttentionShape& shape,
                                          const AttentionOptions& options, const T* q, const T* k, const T* v,
                                          const float* log_sum_exp, const float* along, const T* dout, T* dq, T* dk,
                                          T* dv, void* memory);

}  // namespace dtcalc::cuda
