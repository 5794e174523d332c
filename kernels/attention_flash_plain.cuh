// Blocked attention on plain arithmetic, for float and for head sizes that the tensor-core kernels do not have: a warp
// per row, a lane per row of the visited tile. Included by attention_flash.cu only.
#pragma once

#include "kernels/attention_score.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {

inline constexpr int plain_warps = 4, plain_tile = 32, plain_most_size = 256;
inline constexpr int plain_parts = plain_most_size / warp_size;  ///< channels of a lane

/// 32 rows of a head in float; the odd stride keeps lanes that read a column in different banks.
struct PlainTile {
  float value[plain_tile][plain_most_size + 1];

  template <class T>
  __device__ void fill(const T* from, std::int64_t stride, int first, int rows, int size) {
    __syncthreads();  // nobody reads the tile before any more
    for (int i = static_cast<int>(threadIdx.x); i < plain_tile * size; i += plain_warps * warp_size) {
      const int row = i / size, h = i % size;
      value[row][h] = first + row < rows ? to_float(from[(first + row) * stride + h]) : 0.0F;
    }
    __syncthreads();
  }
  /// x · row `lane`.
  __device__ float dot(const float* x, int size) const {
    const float* const y = value[threadIdx.x % warp_size];
    float sum = 0;
    for (int h = 0; h < size; ++h) sum += x[h] * y[h];
    return sum;
  }
  /// sum[part] += the sum over rows of the lane's number times channel 32 part + lane.
  __device__ void add(float (&sum)[plain_parts], float factor, int size) const {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int row = 0; row < plain_tile; ++row) {
      const float f = __shfl_sync(0xFFFFFFFFU, factor, row);
#pragma unroll
      for (int part = 0; part < plain_parts; ++part)
        if (part * warp_size + lane < size) sum[part] += f * value[row][part * warp_size + lane];
    }
  }
};

template <class T>
__device__ void plain_read(float* to, const T* from, bool exists, int size) {
  for (int h = static_cast<int>(threadIdx.x) % warp_size; h < size; h += warp_size)
    to[h] = exists ? to_float(from[h]) : 0.0F;
  __syncwarp();
}

template <class T>
__device__ void plain_write(T* to, const float (&sum)[plain_parts], float factor, int size) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
#pragma unroll
  for (int part = 0; part < plain_parts; ++part)
    if (part * warp_size + lane < size) to[part * warp_size + lane] = from_float<T>(sum[part] * factor);
}

/// Which row a warp owns: four neighbours of one head in a block.
struct PlainOwner {
  int batch, head, row;
  __device__ PlainOwner(int heads, int rows) {
    const int blocks = (rows + plain_warps - 1) / plain_warps, block = static_cast<int>(blockIdx.x);
    batch = block / blocks / heads;
    head = block / blocks % heads;
    row = block % blocks * plain_warps + static_cast<int>(threadIdx.x) / warp_size;
  }
  __device__ int block_first() const { return row - static_cast<int>(threadIdx.x) / warp_size; }
  __device__ std::int64_t offset(int stride) const { return std::int64_t{row} * stride; }
};

template <class T>
__global__ void __launch_bounds__(plain_warps* warp_size)
    flash_forward_plain_kernel(const Attention a, const T* q, const T* k, const T* v, T* out, float* log_sum_exp) {
  __shared__ PlainTile tile;
  __shared__ float own[plain_warps][plain_most_size];
  const int size = static_cast<int>(a.head_size), lane = static_cast<int>(threadIdx.x) % warp_size;
  const PlainOwner at(a.heads, a.queries);
  float* const query = own[threadIdx.x / warp_size];
  const bool exists = at.row < a.queries;
  plain_read(query, q + a.query_head(at.batch, at.head) + at.offset(a.query_stride()), exists, size);
  const ScoreFunction f(a, at.head);
  const DropoutStream stream = make_stream(a.dropout);
  const T* const keys = k + a.key_head(at.batch, at.head / a.group);
  const T* const values = v + a.key_head(at.batch, at.head / a.group);

  const int last = at.block_first() + plain_warps - 1 < a.queries ? at.block_first() + plain_warps - 1 : a.queries - 1;
  const int from = exists ? a.first_key(at.row) : 0, to = exists ? a.end_key(at.row) : 0;
  float sum[plain_parts] = {}, maximum = -INFINITY, total = 0;
  for (int key0 = a.first_key(at.block_first()) / plain_tile * plain_tile; key0 < a.end_key(last); key0 += plain_tile) {
    const int key = key0 + lane;
    tile.fill(keys, a.key_stride(), key0, a.keys, size);
    const float logit = key >= from && key < to ? f.logit(tile.dot(query, size), at.row, key) : -INFINITY;
    const float most = warp_join(fmaxf(maximum, logit), [](float x, float y) { return fmaxf(x, y); });
    float p = 0;
    if (most != -INFINITY) {
      const float shrink = expf(maximum - most);
      p = expf(logit - most);
      total = total * shrink + warp_sum(p);
#pragma unroll
      for (float& value : sum) value *= shrink;
      maximum = most;
      if (a.drops)
        p *= stream.factor_of(static_cast<std::uint64_t>((a.statistics(at.batch, at.head) + at.row) * a.keys + key));
    }
    tile.fill(values, a.key_stride(), key0, a.keys, size);
    tile.add(sum, p, size);
  }
  if (!exists) return;
  plain_write(out + a.query_head(at.batch, at.head) + at.offset(a.query_stride()), sum, total > 0 ? 1.0F / total : 0.0F,
              size);
  if (log_sum_exp != nullptr && lane == 0)
    log_sum_exp[a.statistics(at.batch, at.head) + at.row] = total > 0 ? maximum + logf(total) : -INFINITY;
}

/// Probability and dS / d score of one pair, from the raw score and the gradient of the dropped probability.
struct PlainPair {
  float dropped, gradient;
  __device__ PlainPair(const Attention& a, const ScoreFunction& f, const DropoutStream& stream, std::int64_t element,
                       int query, int key, float score, float above, float log_sum_exp, float along) {
    const float p = expf(f.logit(score, query, key) - log_sum_exp);
    const float mask = a.drops ? stream.factor_of(static_cast<std::uint64_t>(element)) : 1.0F;
    dropped = p * mask;
    gradient = p * (above * mask - along) * f.derivative(score);
  }
};

template <class T>
__global__ void __launch_bounds__(plain_warps* warp_size)
    flash_query_plain_kernel(const Attention a, const T* q, const T* k, const T* v, const float* log_sum_exp,
                             const float* along, const T* dout, T* dq) {
  __shared__ PlainTile tile;
  __shared__ float own[2][plain_warps][plain_most_size];
  const int size = static_cast<int>(a.head_size), lane = static_cast<int>(threadIdx.x) % warp_size;
  const PlainOwner at(a.heads, a.queries);
  const bool exists = at.row < a.queries;
  float* const query = own[0][threadIdx.x / warp_size];
  float* const above = own[1][threadIdx.x / warp_size];
  const std::int64_t offset = a.query_head(at.batch, at.head) + at.offset(a.query_stride());
  plain_read(query, q + offset, exists, size);
  plain_read(above, dout + offset, exists, size);
  const ScoreFunction f(a, at.head);
  const DropoutStream stream = make_stream(a.dropout);
  const std::int64_t statistics = a.statistics(at.batch, at.head) + at.row;
  const float shift = exists ? log_sum_exp[statistics] : 0.0F, level = exists ? along[statistics] : 0.0F;

  const int last = at.block_first() + plain_warps - 1 < a.queries ? at.block_first() + plain_warps - 1 : a.queries - 1;
  const int from = exists ? a.first_key(at.row) : 0, to = exists ? a.end_key(at.row) : 0;
  float sum[plain_parts] = {};
  for (int key0 = a.first_key(at.block_first()) / plain_tile * plain_tile; key0 < a.end_key(last); key0 += plain_tile) {
    const int key = key0 + lane;
    tile.fill(v + a.key_head(at.batch, at.head / a.group), a.key_stride(), key0, a.keys, size);
    const float d = tile.dot(above, size);
    tile.fill(k + a.key_head(at.batch, at.head / a.group), a.key_stride(), key0, a.keys, size);
    const float score = tile.dot(query, size);
    float gradient = 0;
    if (key >= from && key < to)
      gradient = PlainPair(a, f, stream, statistics * a.keys + key, at.row, key, score, d, shift, level).gradient;
    tile.add(sum, gradient, size);
  }
  if (exists) plain_write(dq + offset, sum, 1.0F, size);
}

template <class T>
__global__ void __launch_bounds__(plain_warps* warp_size)
    flash_key_plain_kernel(const Attention a, const T* q, const T* k, const T* v, const float* log_sum_exp,
                           const float* along, const T* dout, T* dk, T* dv) {
  __shared__ PlainTile tile;
  __shared__ float own[2][plain_warps][plain_most_size];
  const int size = static_cast<int>(a.head_size), lane = static_cast<int>(threadIdx.x) % warp_size;
  const PlainOwner at(a.kv_heads, a.keys);
  const bool exists = at.row < a.keys;
  float* const key_row = own[0][threadIdx.x / warp_size];
  float* const value_row = own[1][threadIdx.x / warp_size];
  const std::int64_t offset = a.key_head(at.batch, at.head) + at.offset(a.key_stride());
  plain_read(key_row, k + offset, exists, size);
  plain_read(value_row, v + offset, exists, size);
  const DropoutStream stream = make_stream(a.dropout);

  const int last = at.block_first() + plain_warps - 1 < a.keys ? at.block_first() + plain_warps - 1 : a.keys - 1;
  const int from = exists ? a.first_query(at.row) : 0, to = exists ? a.end_query(at.row) : 0;
  float key_sum[plain_parts] = {}, value_sum[plain_parts] = {};
  for (int head = at.head * a.group; head < (at.head + 1) * a.group; ++head) {
    const ScoreFunction f(a, head);
    const std::int64_t queries_at = a.query_head(at.batch, head), statistics = a.statistics(at.batch, head);
    for (int query0 = a.first_query(at.block_first()) / plain_tile * plain_tile; query0 < a.end_query(last);
         query0 += plain_tile) {
      const int query = query0 + lane;
      tile.fill(dout + queries_at, a.query_stride(), query0, a.queries, size);
      const float d = tile.dot(value_row, size);
      tile.fill(q + queries_at, a.query_stride(), query0, a.queries, size);
      const float score = tile.dot(key_row, size);
      float gradient = 0, dropped = 0;
      if (query >= from && query < to) {
        const PlainPair pair(a, f, stream, (statistics + query) * a.keys + at.row, query, at.row, score, d,
                             log_sum_exp[statistics + query], along[statistics + query]);
        gradient = pair.gradient;
        dropped = pair.dropped;
      }
      tile.add(key_sum, gradient, size);
      tile.fill(dout + queries_at, a.query_stride(), query0, a.queries, size);
      tile.add(value_sum, dropped, size);
    }
  }
  if (!exists) return;
  plain_write(dk + offset, key_sum, 1.0F, size);
  plain_write(dv + offset, value_sum, 1.0F, size);
}

}  // namespace dtcalc::cuda
