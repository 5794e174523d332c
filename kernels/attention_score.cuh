// From a raw score to a logit and back, and which keys a query sees: what all attention kernels share, so that they
// compute the same function. Included by their sources only.
#pragma once

#include <cstdint>

#include "kernels/attention.hpp"
#include "kernels/philox.cuh"

namespace dtcalc::cuda {

/// Columns of a tile.
struct Columns {
  int begin, end;
  __device__ bool has(int column) const { return column >= begin && column < end; }
};

/// Shape and options as a kernel is handed them. Positions are int, as registers are scarce; offsets of elements are
/// not.
struct Attention {
  int queries, keys, heads, kv_heads, head_size, group;
  int window;  ///< as a bound that never binds when it is off
  bool causal;
  float scale, softcap, inverse_softcap;
  const float* slopes;
  bool drops;
  Dropout dropout;

  __host__ __device__ int query_stride() const { return heads * head_size; }
  __host__ __device__ int key_stride() const { return kv_heads * head_size; }
  __host__ __device__ int offset() const { return keys - queries; }  ///< position of query 0
  /// First element of a head's rows in (B, S, A, H) and in (B, K, G, H), of its row in (B, A, S).
  __device__ std::int64_t query_head(int batch, int head) const {
    return (std::int64_t{batch} * queries * heads + head) * head_size;
  }
  __device__ std::int64_t key_head(int batch, int kv_head) const {
    return (std::int64_t{batch} * keys * kv_heads + kv_head) * head_size;
  }
  __device__ std::int64_t statistics(int batch, int head) const {
    return (std::int64_t{batch} * heads + head) * queries;
  }
  /// Keys [first_key(s), end_key(s)) are those that query s sees.
  __host__ __device__ int first_key(int query) const {
    const int first = query + offset() + 1 - window;
    return first < 0 ? 0 : first < keys ? first : keys;
  }
  __host__ __device__ int end_key(int query) const {
    const int end = causal ? query + offset() + 1 : keys;
    return end < 0 ? 0 : end < keys ? end : keys;
  }
  /// Queries [first_query(k), end_query(k)) are those that see key k.
  __host__ __device__ int first_query(int key) const {
    const int first = causal ? key - offset() : 0;
    return first < 0 ? 0 : first < queries ? first : queries;
  }
  __host__ __device__ int end_query(int key) const {
    const int end = key - offset() + window;
    return end < 0 ? 0 : end < queries ? end : queries;
  }
  /// The keys from key0 on that a query sees, the queries from query0 on that see a key, as columns of a tile.
  __device__ Columns keys_of(int query, int key0) const { return {first_key(query) - key0, end_key(query) - key0}; }
  __device__ Columns queries_of(int key, int query0) const {
    if (key >= keys) return {0, 0};
    return {first_query(key) - query0, end_query(key) - query0};
  }
  /// Whether every query of [q0, q1) sees every key of [k0, k1).
  __device__ bool all_visible(int q0, int q1, int k0, int k1) const {
    return k1 <= keys && (!causal || k1 - 1 <= q0 + offset()) && k0 > q1 - 1 + offset() - window;
  }
  /// Whether a logit is more than scale times the score, or a probability may be dropped.
  __host__ __device__ bool special() const { return softcap > 0 || slopes != nullptr || drops || scale <= 0; }
};

inline Attention make_attention(const AttentionShape& s, const AttentionOptions& o) {
  const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
  return {narrow(s.queries),
          narrow(s.keys),
          narrow(s.heads),
          narrow(s.kv_heads),
          narrow(s.head_size),
          narrow(s.heads / s.kv_heads),
          narrow(o.window > 0 && o.window <= s.keys + s.queries ? o.window : s.keys + s.queries + 1),
          o.causal,
          static_cast<float>(o.scale),
          static_cast<float>(o.softcap),
          o.softcap > 0 ? static_cast<float>(1 / o.softcap) : 0.0F,
          o.alibi_slopes,
          o.dropout > 0,
          make_dropout(o.dropout, o.key)};
}

/// The logit of one head's score, in nats, and its derivative by the score.
struct ScoreFunction {
  float scale, softcap, inverse_softcap, slope;
  int offset;

  __device__ ScoreFunction(const Attention& a, int head)
      : scale(a.scale),
        softcap(a.softcap),
        inverse_softcap(a.inverse_softcap),
        slope(a.slopes != nullptr ? a.slopes[head] : 0.0F),
        offset(a.offset()) {}

  __device__ float logit(float score, int query, int key) const {
    const float z = softcap > 0 ? softcap * tanhf(score * (scale * inverse_softcap)) : scale * score;
    return z - slope * static_cast<float>(query + offset - key);
  }
  __device__ float derivative(float score) const {
    if (softcap <= 0) return scale;
    const float t = tanhf(score * (scale * inverse_softcap));
    return scale * (1.0F - t * t);
  }
};

}  // namespace dtcalc::cuda
