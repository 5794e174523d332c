// What the naive and the blocked attention share: shapes, the score function and its mask. Included by their headers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/cpu/philox.hpp"

namespace dtcalc::cpu {

/// Sizes in the notes' symbols: q (B, S, A, H), k and v (B, K, G, H), row-major; G divides A, and query head a reads kv
/// head a / (A / G). The last query is the last key: query s has position s + K - S.
struct AttentionShape {
  std::int64_t batch = 1, queries = 1, keys = 1, heads = 1, kv_heads = 1, head_size = 1;
};

/// probability = dropout(softmax(softcap(scale q·k) - slope (position - key) + mask)).
struct AttentionOptions {
  double scale = 1;                      ///< factor on q·k
  double softcap = 0;                    ///< cap tanh(score / cap); 0 is off
  const double* alibi_slopes = nullptr;  ///< (heads), or null
  bool causal = true;                    ///< a query sees the keys up to its own position
  std::int64_t window = 0;               ///< … of which only the last `window`, itself included; 0: all
  double dropout = 0;                    ///< probability to drop; element ((b A + a) S + s) K + k of the mask of `key`
  DropoutKey key;
};

/// The keys [begin, end) that query s sees; empty when begin == end.
struct KeyRange {
  std::int64_t begin, end;
};
constexpr KeyRange visible_keys(std::int64_t query, std::int64_t queries, std::int64_t keys, bool causal,
                                std::int64_t window) {
  const std::int64_t position = query + keys - queries;
  const std::int64_t end = causal ? std::clamp<std::int64_t>(position + 1, 0, keys) : keys;
  const std::int64_t begin = window > 0 ? std::clamp<std::int64_t>(position + 1 - window, 0, end) : 0;
  return {begin, end};
}

/// ALiBi slopes of Press, Smith, Lewis (2022): 2^(-8 i / n) for i = 1 … n when n heads are a power of two; else those
/// of the power of two below, followed by every other one of the sequence for twice that power.
std::vector<double> alibi_slopes(std::int64_t heads);

}  // namespace dtcalc::cpu
