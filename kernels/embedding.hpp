// Token and position embedding; the twin of engine/cpu/embedding.hpp. Called by the CUDA backend at the two ends of the
// block stack.
#pragma once

#include "kernels/dropout.hpp"

namespace dtcalc::cuda {

struct EmbeddingShape {
  std::int64_t batch = 1, sequence = 1, hidden = 1;
  std::int64_t vocabulary = 1;      ///< rows of the token table
  std::int64_t first_position = 0;  ///< row of the position table for s = 0 (decode, OPT's offset)
  double scale = 1;                 ///< factor on the token embedding (Gemma)
  double dropout = 0;
  DropoutKey key;
};

/// x (B, S, D) = dropout(scale token_table[token] + position_table[first_position + s]); tokens (B, S) must lie in the
/// table (V, D); `position_table` may be null.
template <class T>
[[nodiscard]] cudaError_t embedding_forward(const Context& context, const EmbeddingShape& shape,
                                            const std::int32_t* tokens, const T* token_table, const T* position_table,
                                            T* x);

/// Scratch of embedding_backward in bytes; not needed for the position table alone.
std::int64_t embedding_backward_workspace_bytes(const EmbeddingShape& shape);

/// Accumulates into the gradients of both tables, either may be null. Rows are sorted by token (stable), so that every
/// row of the table has one writer and the order of its sum is that of the tokens, in runs of a fixed length.
template <class T, class G>
[[nodiscard]] cudaError_t embedding_backward(const Context& context, const EmbeddingShape& shape,
                                             const std::int32_t* tokens, const T* dx, G* dtoken_table,
                                             G* dposition_table);

}  // namespace dtcalc::cuda
