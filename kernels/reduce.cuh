// Sums of a warp, a block and over row blocks, each in an order that depends on shapes alone. Included by the kernels'
// sources only.
#pragma once

#include <cstdint>

#include "kernels/packet.cuh"

namespace dtcalc::cuda {

inline constexpr int warp_size = 32;

/// Every lane gets the result of the butterfly.
template <class V, class Join>
__device__ V warp_join(V value, Join join) {
#pragma unroll
  for (int distance = warp_size / 2; distance > 0; distance /= 2)
    value = join(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
  return value;
}
template <class V>
__device__ V warp_sum(V value) {
  return warp_join(value, [](V a, V b) { return a + b; });
}

/// Sums of N numbers over a block of whole warps at once; every thread gets them. `shared` (32 N) may be used again
/// after the next barrier.
template <int N, class V>
__device__ void block_sum(V (&value)[N], V* shared) {
#pragma unroll
  for (int n = 0; n < N; ++n) value[n] = warp_sum(value[n]);
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  if (warps == 1) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  if (lane == 0) {
#pragma unroll
    for (int n = 0; n < N; ++n) shared[n * warp_size + warp] = value[n];
  }
  __syncthreads();
#pragma unroll
  for (int n = 0; n < N; ++n) value[n] = warp_sum(lane < warps ? shared[n * warp_size + lane] : V(0));
}

/// Sums of N numbers (a power of two) over a warp in N + 4 - log2(N) shuffles rather than 5 N: with each halving of the
/// distance a lane hands over half of its numbers. The result is the sum of number lane / (32 / N).
template <int N>
__device__ float warp_transposed_sum(float (&value)[N]) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  int distance = warp_size / 2;
#pragma unroll
  for (int kept = N / 2; kept > 0; kept /= 2) {
    const bool upper = (lane & distance) != 0;
#pragma unroll
    for (int i = 0; i < kept; ++i) {
      const float away = upper ? value[i] : value[i + kept], mine = upper ? value[i + kept] : value[i];
      value[i] = mine + __shfl_xor_sync(0xFFFFFFFFU, away, distance);
    }
    distance /= 2;
  }
  for (; distance > 0; distance /= 2) value[0] += __shfl_xor_sync(0xFFFFFFFFU, value[0], distance);
  return value[0];
}

/// Two sums, first[c] and, with gridDim.y = 2, second[c] += partials[0][y][c] + … + partials[blocks - 1][y][c], two
/// levels in a fixed order; `partials` (blocks, gridDim.y, columns). Null: not wanted. Launched with join_threads.
inline constexpr int join_columns = 16, join_rows = warp_size;  // a warp joins a column's rows
inline constexpr int join_threads = join_columns * join_rows;

template <class G>
__global__ void __launch_bounds__(join_threads)
    join_partials_kernel(int blocks, std::int64_t columns, const float* partials, G* first, G* second) {
  __shared__ float part[join_rows][join_columns + 1];  // so that the rows of a column lie in different banks
  G* const sum = blockIdx.y == 0 ? first : second;
  if (sum == nullptr) return;
  const int column_lane = static_cast<int>(threadIdx.x) % join_columns;
  const int row_lane = static_cast<int>(threadIdx.x) / join_columns;
  const std::int64_t column = std::int64_t{blockIdx.x} * join_columns + column_lane;
  const float* const from = partials + blockIdx.y * columns + column;
  float value = 0;
  if (column < columns) {
#pragma unroll 8
    for (int block = row_lane; block < blocks; block += join_rows) value += from[block * (gridDim.y * columns)];
  }
  part[row_lane][column_lane] = value;
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  const float total = warp_sum(part[lane][warp]);
  const std::int64_t mine = std::int64_t{blockIdx.x} * join_columns + warp;
  if (lane == 0 && mine < columns) sum[mine] = from_float<G>(to_float(sum[mine]) + total);
}

/// `partials` (blocks, columns).
template <class G>
cudaError_t join_partials(const Context& context, std::int64_t blocks, std::int64_t columns, const float* partials,
                          G* sum) {
  join_partials_kernel<<<grid_of(ceil_div(columns, join_columns)), join_threads, 0, context.stream>>>(
      static_cast<int>(blocks), columns, partials, sum, static_cast<G*>(nullptr));
  return cudaGetLastError();
}

/// Two sums in one launch: `partials` (blocks, 2, columns); either result may be null.
template <class G>
cudaError_t join_two_partials(const Context& context, std::int64_t blocks, std::int64_t columns, const float* partials,
                              G* first, G* second) {
  const dim3 grid(static_cast<unsigned>(ceil_div(columns, join_columns)), 2);
  join_partials_kernel<<<grid, join_threads, 0, context.stream>>>(static_cast<int>(blocks), columns, partials, first,
                                                                  second);
  return cudaGetLastError();
}

}  // namespace dtcalc::cuda
