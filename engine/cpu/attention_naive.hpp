// Attention with the S x K matrix in memory, one kernel per logical operator so that each can be timed and counted
// alone. Products run over the full square (no causal skipping): each counts 2 B A S K H FLOPs. Called by the executor.
#pragma once

#include "engine/cpu/attention.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// scores (B, A, S, K) = q · k, without scale.
template <class T>
void attention_scores(Context& context, const AttentionShape& shape, const T* q, const T* k, T* scores);

/// probabilities (B, A, S, K) of raw scores; may be the same buffer. With dropout > 0 `dropped` receives the
/// probabilities after dropout (another buffer); unused otherwise. A query that sees no key gets a row of zeros.
template <class T>
void attention_softmax_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const T* scores, T* probabilities, T* dropped);

/// out (B, S, A, H) = probabilities · v (the dropped ones when there is dropout).
template <class T>
void attention_context(Context& context, const AttentionShape& shape, const T* probabilities, const T* v, T* out);

/// gradient (B, A, S, K) of the (dropped) probabilities = dout · v^T.
template <class T>
void attention_context_backward_probabilities(Context& context, const AttentionShape& shape, const T* dout, const T* v,
                                              T* dprobabilities);

/// dv (B, K, G, H) = probabilities^T · dout, summed over the query heads of each group (the dropped ones under
/// dropout).
template <class T>
void attention_context_backward_value(Context& context, const AttentionShape& shape, const T* probabilities,
                                      const T* dout, T* dv);

/// gradient (B, A, S, K) in place: of the dropped probabilities on entry, of the raw scores (scale included) on return.
/// `probabilities` before dropout; `scores` are the raw ones, needed with softcap only (else null).
template <class T>
void attention_softmax_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                                const T* probabilities, const T* scores, T* gradient);

/// dq (B, S, A, H) = dscores · k.
template <class T>
void attention_scores_backward_query(Context& context, const AttentionShape& shape, const T* dscores, const T* k,
                                     T* dq);

/// dk (B, K, G, H) = dscores^T · q, summed over the query heads of each group.
template <class T>
void attention_scores_backward_key(Context& context, const AttentionShape& shape, const T* dscores, const T* q, T* dk);

}  // namespace dtcalc::cpu
