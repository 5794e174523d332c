// What the naive and the blocked attention share: shapes and the score function; the twin of engine/cpu/attention.hpp.
// Included by their headers.
#pragma once

#include "kernels/dropout.hpp"

namespace dtcalc::cuda {

/// Sizes in the notes' symbols: q (B, S, A, H), k and v (B, K, G, H), row-major; G divides A, and query head a reads kv
/// head a / (A / G). The last query is the last key: query s has position s + K - S.
struct AttentionShape {
  std::int64_t batch = 1, queries = 1, keys = 1, heads = 1, kv_heads = 1, head_size = 1;
};

/// probability = dropout(softmax(softcap(scale q·k) - slope (position - key) + mask)).
struct AttentionOptions {
  double scale = 1;                     ///< factor on q·k
  double softcap = 0;                   ///< cap tanh(score / cap); 0 is off
  const float* alibi_slopes = nullptr;  ///< (heads) in device memory, or null
  bool causal = true;                   ///< a query sees the keys up to its own position
  std::int64_t window = 0;              ///< … of which only the last `window`, itself included; 0: all
  double dropout = 0;                   ///< probability to drop; element ((b A + a) S + s) K + k of the mask of `key`
  DropoutKey key;
};

}  // namespace dtcalc::cuda
