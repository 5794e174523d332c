// Blocked attention that never holds an S x K matrix: Algorithm 2 with E04 forward, Algorithm 3 with E06 backward; the
// twin of engine/cpu/attention_flash.hpp. Called by the CUDA backend.
//
// bf16 and fp16 run on the tensor cores: head sizes 64 and 128 without extras on Hopper's own instructions
// (attention_hopper.hpp says which), 64, 80, 96, 128 and 256 on those of sm_80 and up. Other head sizes up to 256, and
// float, run on plain arithmetic: right, but an order of magnitude slower. Outside Hopper the backward is two passes,
// one whose blocks own keys (dK, dV) and one whose blocks own queries (dQ): seven products instead of five, and in
// return every output has one writer and no float accumulator lies in memory. On Hopper it is one pass of five, which
// sums dQ in memory in a fixed order. Nowhere do the bits depend on who comes first.
#pragma once

#include "kernels/attention.hpp"

namespace dtcalc::cuda {

/// Why the kernels do not take this shape, for a message; null when they do.
const char* flash_refusal(const AttentionShape& shape);

struct FlashTile {
  std::int64_t query = 0, key = 0;  ///< rows and columns of a score tile
};
/// A pass executes 2 H FLOPs per query-key pair and product in the tiles that hold a visible pair.
struct FlashPass {
  int products = 0;
  FlashTile tile;
  std::int64_t owned = 0;  ///< rows of a block: keys of a kv head where keys own, else queries of a head
};
enum class FlashKernel { plain, tensor_cores, hopper };
/// What is executed, for counting and for a law of its time: FLOPs = sum over passes of 2 H products pairs(tile), as
/// dtcalc::flash_pairs counts them. The cost model's table of it is costmodel/evaluate/attention_passes.cpp.
struct FlashPlan {
  FlashKernel kernel = FlashKernel::plain;
  FlashPass forward, backward_keys, backward_queries;  ///< a pass of 0 products is not made
};
/// `hopper`: of the device (attention_hopper.hpp's hopper_here, of the current one). Operands are taken to be aligned.
template <class T>
FlashPlan flash_plan(const AttentionShape& shape, const AttentionOptions& options, bool hopper);

/// out (B, S, A, H) and, unless null, log_sum_exp (B, A, S) of the scores, -inf for a query that sees no key (its out
/// is 0).
template <class T>
[[nodiscard]] cudaError_t flash_forward(const Context& context, const AttentionShape& shape,
                                        const AttentionOptions& options, const T* q, const T* k, const T* v, T* out,
                                        float* log_sum_exp);

/// Scratch of flash_backward in bytes: the sums of dout · out, (B, A, S) floats, and for the `hopper` kernel what
/// attention_hopper.hpp says. With less than that the kernels for sm_80 run.
std::int64_t flash_backward_workspace_bytes(const AttentionShape& shape, bool hopper);

/// dq (B, S, A, H), dk and dv (B, K, G, H), all written. `out` and `log_sum_exp` come from the forward with the same
/// options.
template <class T>
[[nodiscard]] cudaError_t flash_backward(const Context& context, const AttentionShape& shape,
                                         const AttentionOptions& options, const T* q, const T* k, const T* v,
                                         const T* out, const float* log_sum_exp, const T* dout, T* dq, T* dk, T* dv);

}  // namespace dtcalc::cuda
