// The backward pass of blocked attention on the tensor cores: Algorithm 3 with E06, in two passes of one kernel.
// Included by attention_flash_*.cu.
//
// A block owns rows, keys in one pass and queries in the other, and visits tiles of the other kind:
//                 owner's X1, X2    visited Y1, Y2    S = X1 Y1^T    D = X2 Y2^T    sums
//   keys own      K, V              Q, dO             scores^T       dP^T           dV += P^T dO, dK += dS^T Q
//   queries own   Q, dO             K, V              scores         dP             dQ += dS K
// with P = e^(logit - log_sum_exp) and dS = P (dP - along) d logit / d score, along = sum of dO · O per query.
#pragma once

#include "kernels/attention_score.cuh"
#include "kernels/tensor_core.cuh"

namespace dtcalc::cuda {

/// `m` times 16 rows a warp, `visited` rows a tile, `columns` of the head summed at a time: for 256 the sums of two
/// outputs do not fit into the registers, so two blocks share the owner's rows and each makes half the columns.
template <int H, bool keys_own, bool special>
struct BackwardTile {
  static constexpr int m = H <= 64 ? 2 : 1;
  static constexpr int warps = H <= 64 || H > 128 ? 4 : 8;
  static constexpr int owned = 16 * m * warps;
  static constexpr int visited = H <= 128 ? 64 : 32;
  static constexpr int at_once =
      special || (keys_own && (m == 2 || H == 128)) ? 16 : 32;  ///< visited rows whose scores are in registers
  static constexpr int columns = keys_own && H > 128 ? H / 2 : H;
  static constexpr int threads = 32 * warps;
  static constexpr int blocks = H <= 64 ? 2 : 1;  ///< wanted on a multiprocessor
  static constexpr int shared_bytes = 2 * (owned + 2 * visited) * H * 2 + (keys_own ? 2 * 2 * visited * 4 : 0);
};

/// What a pass is handed; `out1` is dV (null when queries own), `out2` dK or dQ.
template <class T>
struct BackwardOperands {
  const T *q, *k, *v, *dout;
  const float *log_sum_exp, *along;
  T *out1, *out2;
};

template <class T, int H, bool keys_own, bool special>
__global__ void __launch_bounds__(BackwardTile<H, keys_own, special>::threads,
                                  BackwardTile<H, keys_own, special>::blocks)
    flash_backward_kernel(const Attention a, int batches, const BackwardOperands<T> operands) {
  using Tile = BackwardTile<H, keys_own, special>;
  constexpr int M = Tile::m, N = Tile::at_once / 8, steps = H / 16, columns = Tile::columns / 8;
  constexpr int owned = Tile::owned, visited = Tile::visited;
  extern __shared__ __align__(128) unsigned char memory[];
  T* const x1 = reinterpret_cast<T*>(memory);
  T* const x2 = x1 + owned * H;
  T* const y1 = x2 + owned * H;  // two of each: one in use, one under way
  T* const y2 = y1 + 2 * visited * H;
  float* const shifts = reinterpret_cast<float*>(y2 + 2 * visited * H);  // keys own: of the visited queries
  float* const alongs = shifts + 2 * visited;

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp * 16 * M;
  const int first_column = static_cast<int>(blockIdx.y) * Tile::columns;
  const int owners = keys_own ? a.kv_heads : a.heads, all = owners * batches, tiles = static_cast<int>(gridDim.x) / all;
  const int block = static_cast<int>(blockIdx.x);
  const int owner = block % owners, batch = block % all / owners;
  // The blocks with the most work come first: under a causal mask those of the first keys, of the last queries.
  const int order = block / all, first = (keys_own ? order : tiles - 1 - order) * owned;
  const int owned_rows = keys_own ? a.keys : a.queries, visited_rows = keys_own ? a.queries : a.keys;
  const int last = min(first + owned, owned_rows) - 1;
  const int owned_stride = keys_own ? a.key_stride() : a.query_stride();
  const int visited_stride = keys_own ? a.query_stride() : a.key_stride();
  const std::int64_t owned_at = keys_own ? a.key_head(batch, owner) : a.query_head(batch, owner);
  DropoutStream stream;
  if (special && a.drops) stream = make_stream(a.dropout);

  // The tiles that are visited: for every query head of the owner's group the same range.
  const int begin = (keys_own ? a.first_query(first) : a.first_key(first)) / visited;
  const int end = ((keys_own ? a.end_query(last) : a.end_key(last)) + visited - 1) / visited;
  const int count = begin < end ? end - begin : 0;
  const int visits = keys_own ? count * a.group : count;

  const auto fetch = [&](int visit) {
    const int buffer = visit % 2;
    const int row0 = (begin + visit % count) * visited;
    const int head = keys_own ? owner * a.group + visit / count : owner;
    const std::int64_t at = keys_own ? a.query_head(batch, head) : a.key_head(batch, owner / a.group);
    copy_tile<visited, H, Tile::threads>(y1 + buffer * visited * H, (keys_own ? operands.q : operands.k) + at,
                                         visited_stride, row0, visited_rows);
    copy_tile<visited, H, Tile::threads>(y2 + buffer * visited * H, (keys_own ? operands.dout : operands.v) + at,
                                         visited_stride, row0, visited_rows);
    if constexpr (keys_own) {
      // A query that does not exist or sees nothing has probability 0 everywhere: e^(x - infinity).
      for (int i = static_cast<int>(threadIdx.x); i < visited; i += Tile::threads) {
        const bool exists = row0 + i < a.queries;
        const float shift = exists ? operands.log_sum_exp[a.statistics(batch, head) + row0 + i] : -INFINITY;
        shifts[buffer * visited + i] = shift == -INFINITY ? INFINITY : shift * log2_e;
        alongs[buffer * visited + i] = exists ? operands.along[a.statistics(batch, head) + row0 + i] : 0.0F;
      }
    }
  };

  copy_tile<owned, H, Tile::threads>(x1, (keys_own ? operands.k : operands.q) + owned_at, owned_stride, first,
                                     owned_rows);
  copy_tile<owned, H, Tile::threads>(x2, (keys_own ? operands.v : operands.dout) + owned_at, owned_stride, first,
                                     owned_rows);
  if (visits > 0) fetch(0);
  copies_commit();

  const int row0 = first + warp_row + lane / 4;
  float own_shift[M][2], own_along[M][2];
  if constexpr (!keys_own) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int query = row0 + 16 * m + 8 * half;
        const bool exists = query < a.queries;
        const float shift = exists ? operands.log_sum_exp[a.statistics(batch, owner) + query] : -INFINITY;
        own_shift[m][half] = shift == -INFINITY ? INFINITY : shift * log2_e;
        own_along[m][half] = exists ? operands.along[a.statistics(batch, owner) + query] : 0.0F;
      }
  }

  // X2 lies behind X1 and the Y2s behind the Y1s, so one address each serves two tiles. Half a head of 256 is a
  // multiple of the swizzle's group: a plain offset.
  const auto x1_lane = lane_of_a<H>(x1 + warp_row * H);
  const auto y_lane = lane_of_b<H>(y1);
  auto sum_lane = lane_of_b_transposed<H>(y1);
  sum_lane.address += static_cast<std::uint32_t>(first_column * 2);
  float sum1[keys_own ? M : 1][keys_own ? columns : 1][4] = {};
  float sum2[M][columns][4] = {};
  for (int visit = 0; visit < visits; ++visit) {
    copies_wait();
    __syncthreads();  // this tile is here, and nobody reads the one before any more
    if (visit + 1 < visits) fetch(visit + 1);
    copies_commit();
    const int buffer = visit % 2;
    const std::uint32_t turn = static_cast<std::uint32_t>(buffer * visited * H * 2);
    const int tile0 = (begin + visit % count) * visited;
    const int head = keys_own ? owner * a.group + visit / count : owner;
    const ScoreFunction f(a, head);

#pragma unroll
    for (int part = 0; part < visited; part += Tile::at_once) {
      float s[M][N][4] = {}, d[M][N][4] = {};
#pragma unroll
      for (int step = 0; step < steps; ++step) {
        std::uint32_t left1[M][4], left2[M][4];
#pragma unroll
        for (int m = 0; m < M; ++m) {
          load_matrices(left1[m], x1_lane.at(16 * m, step));
          load_matrices(left2[m], x1_lane.at(16 * m + owned, step));
        }
#pragma unroll
        for (int n = 0; n < N; n += 2) {
          std::uint32_t right1[4], right2[4];
          load_matrices(right1, y_lane.at(part + 8 * n, step) + turn);
          load_matrices(right2, y_lane.at(2 * visited + part + 8 * n, step) + turn);
#pragma unroll
          for (int m = 0; m < M; ++m) {
            multiply_add<T>(s[m][n], left1[m], right1[0], right1[1]);
            multiply_add<T>(s[m][n + 1], left1[m], right1[2], right1[3]);
            multiply_add<T>(d[m][n], left2[m], right2[0], right2[1]);
            multiply_add<T>(d[m][n + 1], left2[m], right2[2], right2[3]);
          }
        }
      }

      const int part0 = tile0 + part, warp0 = first + warp_row;
      const bool whole = keys_own ? a.all_visible(part0, part0 + Tile::at_once, warp0, warp0 + 16 * M)
                                  : a.all_visible(warp0, warp0 + 16 * M, part0, part0 + Tile::at_once);
#pragma unroll
      for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = row0 + 16 * m + 8 * half;
          const Columns seen = whole      ? Columns{0, Tile::at_once}
                               : keys_own ? a.queries_of(row, part0)
                                          : a.keys_of(row, part0);
#pragma unroll
          for (int n = 0; n < N; ++n) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
              const int column = 8 * n + lane % 4 * 2 + i;
              float& score = s[m][n][2 * half + i];
              float& gradient = d[m][n][2 * half + i];
              float shift, along;
              if constexpr (keys_own) {
                shift = shifts[buffer * visited + part + column];
                along = alongs[buffer * visited + part + column];
              } else {
                shift = own_shift[m][half];
                along = own_along[m][half];
              }
              float p, derivative = a.scale, mask = 1;
              if constexpr (special) {
                const int query = keys_own ? part0 + column : row, key = keys_own ? row : part0 + column;
                derivative = f.derivative(score);
                p = fast_exp2(f.logit(score, query, key) * log2_e - shift);
                if (a.drops) {
                  const std::int64_t element = (a.statistics(batch, head) + query) * a.keys + key;
                  mask = stream.factor_of(static_cast<std::uint64_t>(element));
                }
              } else {
                p = fast_exp2(score * (a.scale * log2_e) - shift);
              }
              if (!seen.has(column)) p = 0;
              gradient = p * (gradient * mask - along) * derivative;
              score = p * mask;
            }
          }
        }
      }

#pragma unroll
      for (int n = 0; n < N; n += 2) {
        std::uint32_t left1[M][4], left2[M][4];
#pragma unroll
        for (int m = 0; m < M; ++m) {
          if constexpr (keys_own) as_a<T>(left1[m], s[m][n], s[m][n + 1]);
          as_a<T>(left2[m], d[m][n], d[m][n + 1]);
        }
#pragma unroll
        for (int c = 0; c < columns; c += 2) {
          std::uint32_t right[4];
          if constexpr (keys_own) {
            load_matrices_transposed(right, sum_lane.at(2 * visited + part + 8 * n, c / 2) + turn);
#pragma unroll
            for (int m = 0; m < M; ++m) {
              multiply_add<T>(sum1[m][c], left1[m], right[0], right[1]);
              multiply_add<T>(sum1[m][c + 1], left1[m], right[2], right[3]);
            }
          }
          load_matrices_transposed(right, sum_lane.at(part + 8 * n, c / 2) + turn);
#pragma unroll
          for (int m = 0; m < M; ++m) {
            multiply_add<T>(sum2[m][c], left2[m], right[0], right[1]);
            multiply_add<T>(sum2[m][c + 1], left2[m], right[2], right[3]);
          }
        }
      }
    }
  }

  const auto write = [&](T* out, const auto& sum) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row0 + 16 * m + 8 * half;
        if (row >= owned_rows) continue;
        T* const to = out + owned_at + std::int64_t{row} * owned_stride + first_column + lane % 4 * 2;
#pragma unroll
        for (int c = 0; c < columns; ++c)
          *reinterpret_cast<std::uint32_t*>(to + 8 * c) = pack<T>(sum[m][c][2 * half], sum[m][c][2 * half + 1]);
      }
  };
  if constexpr (keys_own) write(operands.out1, sum1);
  write(operands.out2, sum2);
  copies_wait();
}

}  // namespace dtcalc::cuda
