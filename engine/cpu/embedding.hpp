// Token and position embedding. Called by the executor at the two ends of the block stack.
#pragma once

#include "engine/cpu/context.hpp"
#include "engine/cpu/philox.hpp"

namespace dtcalc::cpu {

struct EmbeddingShape {
  std::int64_t batch = 1, sequence = 1, hidden = 1;
  std::int64_t first_position = 0;  ///< row of the position table for s = 0 (decode, OPT's offset)
  double scale = 1;                 ///< factor on the token embedding (Gemma)
  double dropout = 0;
  DropoutKey key;
};

/// x (B, S, D) = dropout(scale token_table[token] + position_table[first_position + s]); tokens (B, S) must lie in the
/// table (V, D); `position_table` may be null.
template <class T>
void embedding_forward(Context& context, const EmbeddingShape& shape, const std::int32_t* tokens, const T* token_table,
                       const T* position_table, T* x);

/// Accumulates into the gradients of both tables, either may be null. Work is split by columns, so the order of every
/// sum is that of the tokens, whatever the number of threads.
template <class T>
void embedding_backward(Context& context, const EmbeddingShape& shape, const std::int32_t* tokens, const T* dx,
                        T* dtoken_table, T* dposition_table);

}  // namespace dtcalc::cpu
