// Norm on queries and keys (QK-norm) and rotary positions (2.5)-(2.7) with E19, E20; the twin of
// engine/cpu/head_norm_rope.hpp, whose fill_rope_table<float> makes the tables. Called by the CUDA backend between the
// projections and attention.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// What happens to x (batch, sequence, heads, head_size): first the RMS norm, then the rotation; either may be off.
struct HeadNormRope {
  std::int64_t batch = 1, sequence = 1, heads = 1, head_size = 1;
  QkNorm norm = QkNorm::none;
  double epsilon = 1e-6;
  bool weight_offset = false;    ///< the stored weight is gamma - 1 (Gemma)
  std::int64_t rotary_size = 0;  ///< channels that rotate, even; 0: no rotation
  RopePairing pairing = RopePairing::halves;
};

/// out = rope(norm(x)); out may be x (then the backward of a norm is not possible any more). `weight` is (head_size)
/// for per_head, (heads x head_size) for full, unused for none. `cosine`, `sine` (positions, rotary_size / 2) are the
/// rows of the table that belong to the first position of x. `rstd` (batch, sequence, heads) for per_head,
/// (batch, sequence) for full, written unless null. A norm takes at most 16384 elements.
template <class T>
[[nodiscard]] cudaError_t head_norm_rope_forward(const Context& context, const HeadNormRope& shape, const T* x,
                                                 const T* weight, const float* cosine, const float* sine, T* out,
                                                 float* rstd);

/// Scratch of head_norm_rope_backward in bytes; 0 without norm.
std::int64_t head_norm_rope_backward_workspace_bytes(const HeadNormRope& shape);

/// dx (batch, sequence, heads, head_size) from the gradient dy of out; dx may be dy. With a norm, `x` is the forward's
/// input, `rstd` its statistics, and `dweight` (as weight; null when frozen) is accumulated; without one they are
/// unused.
template <class T, class G>
[[nodiscard]] cudaError_t head_norm_rope_backward(const Context& context, const HeadNormRope& shape, const T* dy, T* dx,
                                                  const T* x, const T* weight, const float* cosine, const float* sine,
                                                  const float* rstd, G* dweight);

}  // namespace dtcalc::cuda
