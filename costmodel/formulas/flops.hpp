// Closed forms for FLOPs: (4.2) = (F.3), (4.3), the exact forward and backward products of any architecture and
// the hardware FLOPs under recomputation. Used by the registry, inference and the tests.
//
// Only products are counted (1 multiply-add = 2 FLOP); elementwise work is O(1/D), O(1/H) of it. Totals are summed
// exactly in 128 bits and returned as double: exact below 2^53.
#pragma once

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// Sec. 4 Essentials: 2BSN, forward. Leading order: attention is S/((2+E)D) more (E53).
Flop forward_flops_essentials(std::int64_t B, std::int64_t S, std::int64_t N);

/// (4.2) = (F.3) 12BDLS(S + (2+E)D): forward and backward of the blocks. Exact for the notes' block with H = D/A and
/// the full S x S square; the head's 6BDSV is left out (E29: the notes' 2BDSV is the forward pass alone).
Flop eq_4_2_model_flops(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, double E);

/// (4.3) 6BSN. Leading order: N = (7.10) at T=1 and S << D.
Flop eq_4_3_model_flops(std::int64_t B, std::int64_t S, std::int64_t N);

/// (4.2) at E=4 written as 72BLSD^2 (1 + S/6D), in doubles.
double model_flops_gpt(double B, double S, double D, double L);

/// Attention products over weight products: S/((2+E)D), half of it when causal pairs are counted once (E53: equal at S
/// = 6D, 12D causal). Leading order in 1/S when causal.
double attention_share(double S, double D, double E, bool causal);

/// Which positions the LM head multiplies.
enum class HeadPositions : std::uint8_t {
  none,
  last,  ///< one per sequence, as in prefill
  all
};

/// Attention pairs per head: S^2, or S(S+1)/2 when `causal` counts what the mask leaves (a convention; papers' MFU has
/// S^2).
struct ForwardFlops {
  Flop query, key_value, scores, context, output, mlp;  ///< all L blocks
  Flop head, total;
};
ForwardFlops forward_flops(const Architecture& model, std::int64_t B, std::int64_t S, bool causal, HeadPositions head);

/// Weights that get no gradient. A tied head is frozen by `lm_head`, its lookup by `embedding`.
struct Frozen {
  bool q = false, k = false, v = false, o = false;
  bool gate = false, up = false, down = false;
  bool lm_head = false, embedding = false, position = false, norms = false;
};

/// (4.1) precisely: a Linear costs its forward products once for dgrad and once for wgrad, attention four products
/// against two. wgrad goes when the weight is frozen, dgrad when nothing before it is trained (E28: in a language model
/// the embedding and the first norm are, so the first block keeps its dgrad). The embedding lookup costs nothing.
/// Biases count as frozen with their weight. `last` and `none` as in forward_flops.
Flop backward_flops(const Architecture& model, std::int64_t B, std::int64_t S, bool causal, HeadPositions head,
                    const Frozen& frozen = {});

/// Forward + backward with everything trained: 3 x forward, for Linears and for attention.
Flop model_flops(const Architecture& model, std::int64_t B, std::int64_t S, bool causal, HeadPositions head);

/// Model FLOPs and what the hardware repeats: full recomputation one more forward pass of the blocks, selective the
/// scores and context products again, flash attention the scores once more in its backward pass (the fifth product).
Flop hardware_flops(const Architecture& model, std::int64_t B, std::int64_t S, bool causal, HeadPositions head,
                    Recomputation recomputation, bool flash);

}  // namespace dtcalc::formulas
