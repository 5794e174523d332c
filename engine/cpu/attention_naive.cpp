#include "engine/cpu/attention_naive.hpp"

#include "engine/cpu/attention_rows.hpp"
#include "engine/cpu/gemm.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t block = 256;  // queries (keys) of one work item

struct Span {
  std::int64_t begin, size;
};
std::int64_t blocks_of(std::int64_t size) { return (size + block - 1) / block; }
Span block_of(std::int64_t index, std::int64_t size) { return {index * block, std::min(block, size - index * block)}; }

/// Distance between rows of a (B, S, A, H) or (B, K, G, H) tensor seen as one head's matrix, and that matrix' first
/// element.
std::int64_t query_stride(const AttentionShape& s) { return s.heads * s.head_size; }
std::int64_t key_stride(const AttentionShape& s) { return s.kv_heads * s.head_size; }
template <class T>
T* query_head(const AttentionShape& s, T* q, std::int64_t batch, std::int64_t head) {
  return q + batch * s.queries * query_stride(s) + head * s.head_size;
}
template <class T>
T* key_head(const AttentionShape& s, T* k, std::int64_t batch, std::int64_t kv_head) {
  return k + batch * s.keys * key_stride(s) + kv_head * s.head_size;
}

/// One item per (batch, query head, block of queries).
template <class Body>
void for_query_blocks(Context& context, const AttentionShape& s, Body body) {
  const std::int64_t blocks = blocks_of(s.queries);
  context.pool.parallel_items(s.batch * s.heads * blocks, [&](std::int64_t item, int worker) {
    const std::int64_t head = item / blocks % s.heads, batch = item / blocks / s.heads;
    context.flop.add(worker, body(batch, head, head / (s.heads / s.kv_heads), block_of(item % blocks, s.queries)));
  });
}

/// out (B, S, A, H) = matrix (B, A, S, K) · values (B, K, G, H).
template <class T>
void matrix_times_keys(Context& context, const AttentionShape& s, const T* matrix, const T* values, T* out) {
  for_query_blocks(context, s, [&](std::int64_t batch, std::int64_t head, std::int64_t kv_head, Span rows) {
    return gemm(Layout::nn, rows.size, s.head_size, s.keys,
                matrix + ((batch * s.heads + head) * s.queries + rows.begin) * s.keys, s.keys,
                key_head(s, values, batch, kv_head), key_stride(s),
                query_head(s, out, batch, head) + rows.begin * query_stride(s), query_stride(s), false);
  });
}

/// matrix (B, A, S, K) = queries (B, S, A, H) · keys (B, K, G, H)^T.
template <class T>
void queries_times_keys(Context& context, const AttentionShape& s, const T* queries, const T* keys, T* matrix) {
  for_query_blocks(context, s, [&](std::int64_t batch, std::int64_t head, std::int64_t kv_head, Span rows) {
    return gemm(Layout::nt, rows.size, s.keys, s.head_size,
                query_head(s, queries, batch, head) + rows.begin * query_stride(s), query_stride(s),
                key_head(s, keys, batch, kv_head), key_stride(s),
                matrix + ((batch * s.heads + head) * s.queries + rows.begin) * s.keys, s.keys, false);
  });
}

/// out (B, K, G, H) = matrix (B, A, S, K)^T · queries (B, S, A, H), the heads of a group added in their order.
template <class T>
void matrix_transposed_times_queries(Context& context, const AttentionShape& s, const T* matrix, const T* queries,
                                     T* out) {
  const std::int64_t blocks = blocks_of(s.keys), group = s.heads / s.kv_heads;
  context.pool.parallel_items(s.batch * s.kv_heads * blocks, [&](std::int64_t item, int worker) {
    const Span columns = block_of(item % blocks, s.keys);
    const std::int64_t kv_head = item / blocks % s.kv_heads, batch = item / blocks / s.kv_heads;
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const std::uint64_t flop =
          gemm(Layout::tn, columns.size, s.head_size, s.queries,
               matrix + (batch * s.heads + head) * s.queries * s.keys + columns.begin, s.keys,
               query_head(s, queries, batch, head), query_stride(s),
               key_head(s, out, batch, kv_head) + columns.begin * key_stride(s), key_stride(s), head % group != 0);
      context.flop.add(worker, flop);
    }
  });
}

/// body(row, head, query's position, keys it sees) for every row of (B, A, S).
template <class Body>
void for_rows(Context& context, const AttentionShape& s, const AttentionOptions& options, Body body) {
  const std::int64_t grain = std::max<std::int64_t>(1, 2048 / s.keys);
  context.pool.parallel_for(s.batch * s.heads * s.queries, grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t query = row % s.queries;
      body(row, row / s.queries % s.heads, query + s.keys - s.queries,
           visible_keys(query, s.queries, s.keys, options.causal, options.window));
    }
  });
}

}  // namespace

template <class T>
void attention_scores(Context& context, const AttentionShape& shape, const T* q, const T* k, T* scores) {
  queries_times_keys(context, shape, q, k, scores);
}

template <class T>
void attention_softmax_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const T* scores, T* probabilities, T* dropped) {
  const DropoutStream stream(options.key);
  for_rows(context, shape, options, [&](std::int64_t row, std::int64_t head, std::int64_t position, KeyRange seen) {
    const std::int64_t count = seen.end - seen.begin, first = row * shape.keys + seen.begin;
    T* const p = probabilities + first;
    if (count > 0) {
      logits_of(RowFunction<T>(options, head), count, position - seen.begin, scores + first, p);
      const T inverse = T(1) / exponentiate(count, max_of(count, p), p);
#pragma omp simd
      for (std::int64_t i = 0; i < count; ++i) p[i] *= inverse;
    }
    std::fill(probabilities + row * shape.keys, p, T(0));
    std::fill(p + count, probabilities + (row + 1) * shape.keys, T(0));
    if (options.dropout > 0) {
      T* const out = dropped + row * shape.keys;
      std::copy(probabilities + row * shape.keys, probabilities + (row + 1) * shape.keys, out);
      apply_dropout(stream, options.dropout, first, count, out + seen.begin);
    }
  });
}

template <class T>
void attention_context(Context& context, const AttentionShape& shape, const T* probabilities, const T* v, T* out) {
  matrix_times_keys(context, shape, probabilities, v, out);
}

template <class T>
void attention_context_backward_probabilities(Context& context, const AttentionShape& shape, const T* dout, const T* v,
                                              T* dprobabilities) {
  queries_times_keys(context, shape, dout, v, dprobabilities);
}

template <class T>
void attention_context_backward_value(Context& context, const AttentionShape& shape, const T* probabilities,
                                      const T* dout, T* dv) {
  matrix_transposed_times_queries(context, shape, probabilities, dout, dv);
}

template <class T>
void attention_softmax_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                                const T* probabilities, const T* scores, T* gradient) {
  const DropoutStream stream(options.key);
  for_rows(context, shape, options, [&](std::int64_t row, std::int64_t head, std::int64_t, KeyRange seen) {
    const std::int64_t count = seen.end - seen.begin, first = row * shape.keys + seen.begin;
    const T* const p = probabilities + first;
    T* const g = gradient + first;
    std::fill(gradient + row * shape.keys, g, T(0));
    std::fill(g + count, gradient + (row + 1) * shape.keys, T(0));
    if (options.dropout > 0) apply_dropout(stream, options.dropout, first, count, g);
    const T along = reduce_sum<T>(count, [=](std::int64_t i) { return p[i] * g[i]; });
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) g[i] = p[i] * (g[i] - along);
    score_gradient(RowFunction<T>(options, head), count, scores == nullptr ? nullptr : scores + first, g);
  });
}

template <class T>
void attention_scores_backward_query(Context& context, const AttentionShape& shape, const T* dscores, const T* k,
                                     T* dq) {
  matrix_times_keys(context, shape, dscores, k, dq);
}

template <class T>
void attention_scores_backward_key(Context& context, const AttentionShape& shape, const T* dscores, const T* q, T* dk) {
  matrix_transposed_times_queries(context, shape, dscores, q, dk);
}

#define DTCALC_INSTANTIATE(T)                                                                                         \
  template void attention_scores<T>(Context&, const AttentionShape&, const T*, const T*, T*);                         \
  template void attention_softmax_forward<T>(Context&, const AttentionShape&, const AttentionOptions&, const T*, T*,  \
                                             T*);                                                                     \
  template void attention_context<T>(Context&, const AttentionShape&, const T*, const T*, T*);                        \
  template void attention_context_backward_probabilities<T>(Context&, const AttentionShape&, const T*, const T*, T*); \
  template void attention_context_backward_value<T>(Context&, const AttentionShape&, const T*, const T*, T*);         \
  template void attention_softmax_backward<T>(Context&, const AttentionShape&, const AttentionOptions&, const T*,     \
                                              const T*, T*);                                                          \
  template void attention_scores_backward_query<T>(Context&, const AttentionShape&, const T*, const T*, T*);          \
  template void attention_scores_backward_key<T>(Context&, const AttentionShape&, const T*, const T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
