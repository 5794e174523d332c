// The forward pass of blocked attention on the tensor cores: Algorithm 2 with E04. Included by attention_flash_*.cu.
#pragma once

#include "kernels/attention_score.cuh"
#include "kernels/tensor_core.cuh"

namespace dtcalc::cuda {

/// A block of `warps` warps owns queries of one head, each warp 16 m of them, and visits the tiles of keys that they
/// see.
template <int H, bool special>
struct ForwardTile {
  static constexpr int m = H <= 128 ? 2 : 1;
  static constexpr int warps = H <= 128 ? 4 : 8;
  static constexpr int query = 16 * m * warps;
  static constexpr int key = special ? 32 : H == 128 ? 48 : 64;
  static constexpr int threads = 32 * warps;
  static constexpr int blocks = H <= 128 ? 2 : 1;  ///< wanted on a multiprocessor
  static constexpr int shared_bytes = (query + 2 * key) * H * 2;
};

/// While scores of a tile are made its values are on their way, while they are used the next tile's keys are.
/// `special`: soft cap, ALiBi or dropout; otherwise the scale is folded into the exponent.
template <class T, int H, bool special>
__global__ void __launch_bounds__(ForwardTile<H, special>::threads, ForwardTile<H, special>::blocks)
    flash_forward_kernel(const Attention a, int batches, const T* q, const T* k, const T* v, T* out,
                         float* log_sum_exp) {
  using Tile = ForwardTile<H, special>;
  constexpr int M = Tile::m, N = Tile::key / 8, steps = H / 16, columns = H / 8;
  extern __shared__ __align__(128) unsigned char memory[];
  T* const q_tile = reinterpret_cast<T*>(memory);
  T* const k_tile = q_tile + Tile::query * H;
  T* const v_tile = k_tile + Tile::key * H;

  // The blocks with the most keys come first: under a causal mask those of the last queries.
  const int heads = a.heads * batches, tiles = static_cast<int>(gridDim.x) / heads;
  const int block = static_cast<int>(blockIdx.x);
  const int head = block % a.heads, batch = block % heads / a.heads;
  const int first = (tiles - 1 - block / heads) * Tile::query;
  const int last = min(first + Tile::query, a.queries) - 1;
  const T* const q_head = q + a.query_head(batch, head);
  const T* const k_head = k + a.key_head(batch, head / a.group);
  const T* const v_head = v + a.key_head(batch, head / a.group);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp * 16 * M;
  const ScoreFunction f(a, head);
  DropoutStream stream;
  if (special && a.drops) stream = make_stream(a.dropout);

  const int begin = a.first_key(first) / Tile::key, end = (a.end_key(last) + Tile::key - 1) / Tile::key;
  copy_tile<Tile::query, H, Tile::threads>(q_tile, q_head, a.query_stride(), first, a.queries);
  if (begin < end) copy_tile<Tile::key, H, Tile::threads>(k_tile, k_head, a.key_stride(), begin * Tile::key, a.keys);
  copies_commit();

  const auto q_lane = lane_of_a<H>(q_tile + warp_row * H);
  const auto k_lane = lane_of_b<H>(k_tile);
  const auto v_lane = lane_of_b_transposed<H>(v_tile);
  float o[M][columns][4] = {};
  float maximum[M][2], sum[M][2] = {};  // of rows g and g + 8; the sum over this lane's columns only
#pragma unroll
  for (int m = 0; m < M; ++m) maximum[m][0] = maximum[m][1] = -INFINITY;
  const float to_exponent = special ? log2_e : a.scale * log2_e;

  for (int j = begin; j < end; ++j) {
    const int key0 = j * Tile::key;
    copies_wait();
    __syncthreads();  // keys are here, and nobody reads the values of the last tile any more
    copy_tile<Tile::key, H, Tile::threads>(v_tile, v_head, a.key_stride(), key0, a.keys);
    copies_commit();

    float s[M][N][4] = {};
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      std::uint32_t left[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m) load_matrices(left[m], q_lane.at(16 * m, step));
#pragma unroll
      for (int n = 0; n < N; n += 2) {
        std::uint32_t right[4];
        load_matrices(right, k_lane.at(8 * n, step));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(s[m][n], left[m], right[0], right[1]);
          multiply_add<T>(s[m][n + 1], left[m], right[2], right[3]);
        }
      }
    }
    copies_wait();
    __syncthreads();  // values are here, and nobody reads the keys any more
    if (j + 1 < end) copy_tile<Tile::key, H, Tile::threads>(k_tile, k_head, a.key_stride(), key0 + Tile::key, a.keys);
    copies_commit();

    const int row0 = first + warp_row + lane / 4;
    if (special) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            s[m][n][i] = f.logit(s[m][n][i], row0 + 16 * m + i / 2 * 8, key0 + 8 * n + lane % 4 * 2 + i % 2);
    }
    if (!a.all_visible(first + warp_row, first + warp_row + 16 * M, key0, key0 + Tile::key)) {
#pragma unroll
      for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const Columns seen = a.keys_of(row0 + 16 * m + 8 * half, key0);
#pragma unroll
          for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
              if (!seen.has(8 * n + lane % 4 * 2 + i)) s[m][n][2 * half + i] = -INFINITY;
        }
      }
    }

#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = maximum[m][half];
#pragma unroll
        for (int n = 0; n < N; ++n) most = fmaxf(most, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFU, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFU, most, 2));
        const float shift = most == -INFINITY ? 0.0F : most * to_exponent;  // E04: nothing seen so far
        const float shrink = fast_exp2(maximum[m][half] * to_exponent - shift);
        maximum[m][half] = most;
        sum[m][half] *= shrink;
#pragma unroll
        for (int c = 0; c < columns; ++c) {
          o[m][c][2 * half] *= shrink;
          o[m][c][2 * half + 1] *= shrink;
        }
#pragma unroll
        for (int n = 0; n < N; ++n) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            s[m][n][i] = fast_exp2(s[m][n][i] * to_exponent - shift);
            sum[m][half] += s[m][n][i];
          }
        }
      }
    }
    if (special && a.drops) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int query = row0 + 16 * m + 8 * half;
          const std::int64_t element = (a.statistics(batch, head) + query) * a.keys + key0 + lane % 4 * 2;
#pragma unroll
          for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
              s[m][n][2 * half + i] *= stream.factor_of(static_cast<std::uint64_t>(element + 8 * n + i));
        }
    }

#pragma unroll
    for (int n = 0; n < N; n += 2) {
      std::uint32_t left[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m) as_a<T>(left[m], s[m][n], s[m][n + 1]);
#pragma unroll
      for (int c = 0; c < columns; c += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right, v_lane.at(8 * n, c / 2));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(o[m][c], left[m], right[0], right[1]);
          multiply_add<T>(o[m][c + 1], left[m], right[2], right[3]);
        }
      }
    }
  }

#pragma unroll
  for (int m = 0; m < M; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float total = sum[m][half];
      total += __shfl_xor_sync(0xFFFFFFFFU, total, 1);
      total += __shfl_xor_sync(0xFFFFFFFFU, total, 2);
      const int query = first + warp_row + 16 * m + 8 * half + lane / 4;
      if (query >= a.queries) continue;
      const float inverse = total > 0 ? 1.0F / total : 0.0F;
      T* const to = out + a.query_head(batch, head) + std::int64_t{query} * a.query_stride() + lane % 4 * 2;
#pragma unroll
      for (int c = 0; c < columns; ++c) {
        *reinterpret_cast<std::uint32_t*>(to + 8 * c) =
            pack<T>(o[m][c][2 * half] * inverse, o[m][c][2 * half + 1] * inverse);
      }
      if (log_sum_exp != nullptr && lane % 4 == 0) {
        log_sum_exp[a.statistics(batch, head) + query] =
            total > 0 ? maximum[m][half] * (to_exponent * ln_2) + logf(total) : -INFINITY;
      }
    }
  }
  copies_wait();
}

}  // namespace dtcalc::cuda
