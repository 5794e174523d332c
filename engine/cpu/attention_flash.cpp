#include "engine/cpu/attention_flash.hpp"

#include <cmath>

#include "engine/cpu/attention_rows.hpp"
#include "engine/cpu/gemm.hpp"

namespace dtcalc::cpu {
namespace {

/// Rows [begin, end) of queries or keys.
struct Tile {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

std::int64_t tiles_of(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }
Tile tile_of(std::int64_t index, std::int64_t tile, std::int64_t size) {
  return {index * tile, std::min((index + 1) * tile, size)};
}

/// The keys that at least one query of the tile sees: a single range, since both ends of visible_keys move by at most
/// one from query to query.
KeyRange keys_of(Tile rows, std::int64_t queries, std::int64_t keys, bool causal, std::int64_t window) {
  const std::int64_t begin = visible_keys(rows.begin, queries, keys, causal, window).begin;
  const std::int64_t end = visible_keys(rows.end - 1, queries, keys, causal, window).end;
  return {begin, std::max(begin, end)};
}

/// Of the keys that `query` sees, those inside the tile, counted from the tile's first.
KeyRange inside(std::int64_t query, Tile columns, const AttentionShape& s, const AttentionOptions& o) {
  const KeyRange seen = visible_keys(query, s.queries, s.keys, o.causal, o.window);
  const std::int64_t begin = std::clamp(seen.begin, columns.begin, columns.end) - columns.begin;
  const std::int64_t end = std::clamp(seen.end, columns.begin, columns.end) - columns.begin;
  return {begin, std::max(begin, end)};
}

std::int64_t position_of(const AttentionShape& s, std::int64_t query) { return query + s.keys - s.queries; }

/// Index of (batch, head, query, key 0) in the dropout mask.
std::int64_t mask_row(const AttentionShape& s, std::int64_t batch, std::int64_t head, std::int64_t query) {
  return ((batch * s.heads + head) * s.queries + query) * s.keys;
}

std::int64_t query_stride(const AttentionShape& s) { return s.heads * s.head_size; }
std::int64_t key_stride(const AttentionShape& s) { return s.kv_heads * s.head_size; }

/// Start of the rows of one head in (B, S, A, H) or (B, K, G, H).
std::int64_t query_offset(const AttentionShape& s, std::int64_t batch, std::int64_t query, std::int64_t head) {
  return ((batch * s.queries + query) * s.heads + head) * s.head_size;
}
std::int64_t key_offset(const AttentionShape& s, std::int64_t batch, std::int64_t key, std::int64_t kv_head) {
  return ((batch * s.keys + key) * s.kv_heads + kv_head) * s.head_size;
}

/// Elements rounded up so that the next array begins on a cache line.
template <class T>
std::int64_t padded(std::int64_t elements) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  return (elements + line - 1) / line * line;
}

/// Hands out consecutive arrays of a worker's scratch.
template <class T>
class Scratch {
 public:
  Scratch(const Context& context, std::int64_t bytes_per_worker, int worker)
      : next_(reinterpret_cast<T*>(context.workspace.data() + worker * bytes_per_worker)) {}
  T* take(std::int64_t elements) {
    T* const array = next_;
    next_ += padded<T>(elements);
    return array;
  }

 private:
  T* next_;
};

template <class T>
std::int64_t forward_bytes_per_worker(const FlashTiles& t) {
  return (padded<T>(t.query * t.key) + 2 * padded<T>(t.query)) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
std::int64_t backward_bytes_per_worker(const AttentionShape& s, const FlashTiles& t) {
  return (2 * padded<T>(t.query * t.key) + padded<T>(s.heads / s.kv_heads * s.queries)) *
         static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void scale_row(std::int64_t count, T factor, T* x) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
}

/// One row of a tile in the backward. `scores` holds raw scores on entry and the (dropped) probabilities on return,
/// `gradient` that of the dropped probabilities on entry and of the raw scores on return; both 0 outside `range`.
template <class T>
void backward_row(const RowFunction<T>& f, const AttentionOptions& options, const DropoutStream& stream, KeyRange range,
                  std::int64_t width, std::int64_t distance, std::int64_t mask_at, T log_sum_exp, T along, T* scores,
                  T* gradient) {
  const std::int64_t count = range.end - range.begin;
  T* const p = scores + range.begin;
  T* const g = gradient + range.begin;
  if (options.dropout > 0) apply_dropout(stream, options.dropout, mask_at + range.begin, count, g);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) g[i] -= along;
  score_gradient(f, count, p, g);
  logits_of(f, count, distance - range.begin, p, p);
  exponentiate(count, log_sum_exp, p);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) g[i] *= p[i];
  if (options.dropout > 0) apply_dropout(stream, options.dropout, mask_at + range.begin, count, p);
  for (T* const row : {scores, gradient}) {
    std::fill(row, row + range.begin, T(0));
    std::fill(row + range.end, row + width, T(0));
  }
}

}  // namespace

std::int64_t flash_tile_pairs(std::int64_t queries, std::int64_t keys, std::int64_t query_tile, std::int64_t key_tile,
                              bool causal, std::int64_t window) {
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < tiles_of(queries, query_tile); ++i) {
    const Tile rows = tile_of(i, query_tile, queries);
    const KeyRange seen = keys_of(rows, queries, keys, causal, window);
    for (std::int64_t j = seen.begin / key_tile; j * key_tile < seen.end; ++j) {
      pairs += rows.size() * tile_of(j, key_tile, keys).size();
    }
  }
  return pairs;
}

template <class T>
std::int64_t flash_forward_workspace_bytes(const AttentionShape&, const FlashTiles& tiles, int threads) {
  return threads * forward_bytes_per_worker<T>(tiles);
}

template <class T>
std::int64_t flash_backward_workspace_bytes(const AttentionShape& shape, const FlashTiles& tiles, int threads) {
  return threads * backward_bytes_per_worker<T>(shape, tiles);
}

template <class T>
void flash_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                   const FlashTiles& tiles, const T* q, const T* k, const T* v, T* out, T* log_sum_exp) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const std::int64_t query_tiles = tiles_of(shape.queries, tiles.query);
  const std::int64_t group = shape.heads / shape.kv_heads, size = shape.head_size;
  const DropoutStream stream(options.key);
  context.pool.parallel_items(shape.batch * shape.heads * query_tiles, [&](std::int64_t item, int worker) {
    const std::int64_t head = item / query_tiles % shape.heads, batch = item / query_tiles / shape.heads;
    const Tile rows = tile_of(item % query_tiles, tiles.query, shape.queries);
    const RowFunction<T> f(options, head);
    Scratch<T> scratch(context, forward_bytes_per_worker<T>(tiles), worker);
    T* const scores = scratch.take(tiles.query * tiles.key);  // then probabilities relative to the running maximum
    T* const maxima = scratch.take(tiles.query);
    T* const sums = scratch.take(tiles.query);
    std::fill(maxima, maxima + rows.size(), -infinity);
    std::fill(sums, sums + rows.size(), T(0));
    T* const z = out + query_offset(shape, batch, rows.begin, head);
    for (std::int64_t r = 0; r < rows.size(); ++r) {
      std::fill(z + r * query_stride(shape), z + r * query_stride(shape) + size, T(0));
    }

    const KeyRange seen = keys_of(rows, shape.queries, shape.keys, options.causal, options.window);
    for (std::int64_t j = seen.begin / tiles.key; j * tiles.key < seen.end; ++j) {
      const Tile columns = tile_of(j, tiles.key, shape.keys);
      const std::int64_t keys_at = key_offset(shape, batch, columns.begin, head / group);
      context.flop.add(
          worker, gemm(Layout::nt, rows.size(), columns.size(), size, q + query_offset(shape, batch, rows.begin, head),
                       query_stride(shape), k + keys_at, key_stride(shape), scores, columns.size(), false));
      for (std::int64_t r = 0; r < rows.size(); ++r) {
        const std::int64_t query = rows.begin + r;
        const KeyRange range = inside(query, columns, shape, options);
        const std::int64_t count = range.end - range.begin;
        T* const row = scores + r * columns.size();
        T* const p = row + range.begin;
        std::fill(row, p, T(0));
        std::fill(p + count, row + columns.size(), T(0));
        if (count == 0) continue;  // E04: the maximum may still be -inf
        logits_of(f, count, position_of(shape, query) - columns.begin - range.begin, p, p);
        const T maximum = std::max(maxima[r], max_of(count, p));
        const T shrink = fast_exp(maxima[r] - maximum);
        sums[r] = shrink * sums[r] + exponentiate(count, maximum, p);
        maxima[r] = maximum;
        if (shrink != T(1)) scale_row(size, shrink, z + r * query_stride(shape));
        if (options.dropout > 0) {
          apply_dropout(stream, options.dropout, mask_row(shape, batch, head, query) + columns.begin + range.begin,
                        count, p);
        }
      }
      context.flop.add(worker, gemm(Layout::nn, rows.size(), size, columns.size(), scores, columns.size(), v + keys_at,
                                    key_stride(shape), z, query_stride(shape), true));
    }
    for (std::int64_t r = 0; r < rows.size(); ++r) {
      if (sums[r] > T(0)) scale_row(size, T(1) / sums[r], z + r * query_stride(shape));
      log_sum_exp[(batch * shape.heads + head) * shape.queries + rows.begin + r] = maxima[r] + std::log(sums[r]);
    }
  });
}

template <class T>
void flash_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                    const FlashTiles& tiles, const T* q, const T* k, const T* v, const T* out, const T* log_sum_exp,
                    const T* dout, T* dq, T* dk, T* dv) {
  const std::int64_t group = shape.heads / shape.kv_heads, size = shape.head_size;
  const std::int64_t query_rows = query_stride(shape), key_rows = key_stride(shape);
  const DropoutStream stream(options.key);
  context.pool.parallel_items(shape.batch * shape.kv_heads, [&](std::int64_t item, int worker) {
    const std::int64_t kv_head = item % shape.kv_heads, batch = item / shape.kv_heads;
    Scratch<T> scratch(context, backward_bytes_per_worker<T>(shape, tiles), worker);
    T* const probabilities = scratch.take(tiles.query * tiles.key);
    T* const gradients = scratch.take(tiles.query * tiles.key);
    T* const along = scratch.take(group * shape.queries);  // sum of dout · out, (group, S)

    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (std::int64_t s = 0; s < shape.queries; ++s) {
        const std::int64_t at = query_offset(shape, batch, s, head);
        along[head % group * shape.queries + s] =
            reduce_sum<T>(size, [=](std::int64_t h) { return dout[at + h] * out[at + h]; });
        std::fill(dq + at, dq + at + size, T(0));
      }
    }
    for (std::int64_t s = 0; s < shape.keys; ++s) {
      const std::int64_t at = key_offset(shape, batch, s, kv_head);
      std::fill(dk + at, dk + at + size, T(0));
      std::fill(dv + at, dv + at + size, T(0));
    }

    for (std::int64_t j = 0; j < tiles_of(shape.keys, tiles.key); ++j) {
      const Tile columns = tile_of(j, tiles.key, shape.keys);
      const std::int64_t width = columns.size(), keys_at = key_offset(shape, batch, columns.begin, kv_head);
      for (std::int64_t i = 0; i < tiles_of(shape.queries, tiles.query); ++i) {
        const Tile rows = tile_of(i, tiles.query, shape.queries);
        const KeyRange seen = keys_of(rows, shape.queries, shape.keys, options.causal, options.window);
        if (seen.begin >= columns.end || seen.end <= columns.begin) continue;
        for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          const std::int64_t queries_at = query_offset(shape, batch, rows.begin, head);
          const RowFunction<T> f(options, head);
          std::uint64_t flop = gemm(Layout::nt, rows.size(), width, size, q + queries_at, query_rows, k + keys_at,
                                    key_rows, probabilities, width, false);
          flop += gemm(Layout::nt, rows.size(), width, size, dout + queries_at, query_rows, v + keys_at, key_rows,
                       gradients, width, false);
          for (std::int64_t r = 0; r < rows.size(); ++r) {
            const std::int64_t query = rows.begin + r;
            const KeyRange range = inside(query, columns, shape, options);
            backward_row(f, options, stream, range, width, position_of(shape, query) - columns.begin,
                         mask_row(shape, batch, head, query) + columns.begin,
                         log_sum_exp[(batch * shape.heads + head) * shape.queries + query],
                         along[head % group * shape.queries + query], probabilities + r * width, gradients + r * width);
          }
          flop += gemm(Layout::tn, width, size, rows.size(), probabilities, width, dout + queries_at, query_rows,
                       dv + keys_at, key_rows, true);
          flop += gemm(Layout::tn, width, size, rows.size(), gradients, width, q + queries_at, query_rows, dk + keys_at,
                       key_rows, true);
          flop += gemm(Layout::nn, rows.size(), size, width, gradients, width, k + keys_at, key_rows, dq + queries_at,
                       query_rows, true);
          context.flop.add(worker, flop);
        }
      }
    }
  });
}

#define DTCALC_INSTANTIATE(T)                                                                                  \
  template std::int64_t flash_forward_workspace_bytes<T>(const AttentionShape&, const FlashTiles&, int);       \
  template std::int64_t flash_backward_workspace_bytes<T>(const AttentionShape&, const FlashTiles&, int);      \
  template void flash_forward<T>(Context&, const AttentionShape&, const AttentionOptions&, const FlashTiles&,  \
                                 const T*, const T*, const T*, T*, T*);                                        \
  template void flash_backward<T>(Context&, const AttentionShape&, const AttentionOptions&, const FlashTiles&, \
                                  const T*, const T*, const T*, const T*, const T*, const T*, T*, T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
