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

/// sum[c] += partials[0][c] + … + partials[blocks - 1][c], two levels in a fixed order; `partials` (blocks, columns)
/// with `stride` floats between rows. Launched with join_threads threads.
inline constexpr int join_columns = 32, join_rows = 16;
inline constexpr int join_threads = join_columns * join_rows;

template <class G>
__global__ void join_partials_kernel(std::int64_t blocks, std::int64_t columns, const float* partials,
                                     std::int64_t stride, G* sum) {
  __shared__ float part[join_rows][join_columns];
  const int column_lane = static_cast<int>(threadIdx.x) % join_columns;
  const int row_lane = static_cast<int>(threadIdx.x) / join_columns;
  const std::int64_t column = std::int64_t{blockIdx.x} * join_columns + column_lane;
  float value = 0;
  if (column < columns) {
    for (std::int64_t block = row_lane; block < blocks; block += join_rows) value += partials[block * stride + column];
  }
  part[row_lane][column_lane] = value;
  __syncthreads();
  if (row_lane != 0 || column >= columns) return;
  float total = 0;
#pragma unroll
  for (int row = 0; row < join_rows; ++row) total += part[row][column_lane];
  sum[column] = from_float<G>(to_float(sum[column]) + total);
}

template <class G>
cudaError_t join_partials(const Context& context, std::int64_t blocks, std::int64_t columns, const float* partials,
                          std::int64_t stride, G* sum) {
  join_partials_kernel<<<grid_of(ceil_div(columns, join_columns)), join_threads, 0, context.stream>>>(
      blocks, columns, partials, stride, sum);
  return cudaGetLastError();
}

}  // namespace dtcalc::cuda
