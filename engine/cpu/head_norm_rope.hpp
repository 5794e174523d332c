// Norm on queries and keys (QK-norm) and rotary positions (2.5)-(2.7) with E19, E20. Called by the executor between the
// projections and attention, once for the queries and once for the keys.
#pragma once

#include <optional>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// What happens to x (batch, sequence, heads, head_size): first the RMS norm, then the rotation; either may be off.
struct HeadNormRope {
  std::int64_t batch = 1, sequence = 1, heads = 1, head_size = 1;
  QkNorm norm = QkNorm::none;
  double epsilon = 1e-6;
  bool weight_offset = false;    ///< the stored weight is gamma - 1 (Gemma)
  std::int64_t rotary_size = 0;  ///< channels that rotate, even; 0: no rotation
  RopePairing pairing = RopePairing::halves;
};

/// cos and sin of s θ_i for the positions first, …, first + positions - 1, each (positions, rotary_size / 2) with
/// θ_i = base^(-2i / rotary_size), scaled as `rope` says; `rope.rotary_size` 0 means head_size. Computed in double.
/// The scalings dynamic, yarn and longrope are refused with an Error.
template <class T>
[[nodiscard]] std::optional<Error> fill_rope_table(const Rope& rope, std::int64_t head_size, std::int64_t first,
                                                   std::int64_t positions, T* cosine, T* sine);

/// out = rope(norm(x)); out may be x (then the backward of a norm is not possible any more). `weight` is (head_size)
/// for per_head, (heads x head_size) for full, unused for none. `cosine`, `sine` are the rows of the table that belong
/// to the first position of x. `rstd` (batch, sequence, heads) for per_head, (batch, sequence) for full, written unless
/// null.
template <class T>
void head_norm_rope_forward(Context& context, const HeadNormRope& shape, const T* x, const T* weight, const T* cosine,
                            const T* sine, T* out, T* rstd);

/// Scratch of head_norm_rope_backward, in bytes; 0 without norm.
template <class T>
std::int64_t head_norm_rope_backward_workspace_bytes(const HeadNormRope& shape);

/// gradient (batch, sequence, heads, head_size) in place: of out on entry, of x on return. With a norm, `x` is the
/// forward's input, `rstd` its statistics, and `dweight` (as weight; null when frozen) is accumulated; without one they
/// are unused.
template <class T>
void head_norm_rope_backward(Context& context, const HeadNormRope& shape, T* gradient, const T* x, const T* weight,
                             const T* cosine, const T* sine, const T* rstd, T* dweight);

}  // namespace dtcalc::cpu
