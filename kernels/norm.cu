#include "kernels/norm.hpp"

#include <algorithm>

#include "kernels/async_copy.cuh"
#include "kernels/instantiate.cuh"
#include "kernels/norm.cuh"

namespace dtcalc::cuda {
namespace {

// Rows of up to eight packets a lane: a warp holds one in registers and copies the next to shared memory meanwhile, so
// that loads are under way whatever it computes. Longer ones: a block of up to 512 threads per row.
constexpr int most_threads = 512, most_packets = 4;
constexpr int warp_packets = 8, block_warps = 4;

/// y and the statistics from the row in registers, zeros beyond its end; a thread's packets lie `step` apart. `shared`
/// serves rows of more than a warp.
template <class T, int W, int N>
__device__ void finish_row(const NormFactors& o, const Packet<T, W> (&in)[N], std::int64_t row, int hidden, int step,
                           const T* gamma, const T* beta, T* y, float* mean, float* rstd, float (*shared)[warp_size]) {
  const int t = static_cast<int>(threadIdx.x), packets = hidden / W;
  float mu = 0;
  if (o.layer_norm) {
    float sum[1] = {0};
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
      for (int w = 0; w < W; ++w) sum[0] += in[n][w];
    }
    block_sum(sum, shared[0]);
    mu = sum[0] * o.inverse;
  }
  float square[1] = {0};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const float level = t + n * step < packets ? mu : 0.0F;
#pragma unroll
    for (int w = 0; w < W; ++w) square[0] += (in[n][w] - level) * (in[n][w] - level);
  }
  block_sum(square, shared[1]);
  const float r = rsqrtf(square[0] * o.inverse + o.epsilon), centre = -mu * r;
  T* const to = y + row * hidden + t * W;
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = t + n * step;
    if (p >= packets) continue;
    float weight[W], bias[W], value[W];
#pragma unroll
    for (int w = 0; w < W; ++w) weight[w] = 1, bias[w] = 0;
    if (gamma != nullptr) load<W, Reuse::yes>(gamma + p * W).get(weight);
    if (beta != nullptr) load<W, Reuse::yes>(beta + p * W).get(bias);
    if (o.offset != 0) {
#pragma unroll
      for (int w = 0; w < W; ++w) weight[w] += o.offset;
    }
#pragma unroll
    for (int w = 0; w < W; ++w) value[w] = (in[n][w] * r + centre) * weight[w] + bias[w];
    Packet<T, W> out;
    out.set(value);
    store(to + n * step * W, out);
  }
  if (t == 0) {
    if (mean != nullptr) mean[row] = mu;
    if (rstd != nullptr) rstd[row] = r;
  }
}

/// Blocks of block_warps warps, each with a slice of the rows.
template <class T, int N>
__global__ void __launch_bounds__(block_warps* warp_size, 2)
    forward_warp_kernel(NormFactors o, int rows, int hidden, const T* x, const T* delta, T* residual, const T* gamma,
                        const T* beta, T* y, float* mean, float* rstd) {
  constexpr int W = packet_width<T>;
  extern __shared__ uint4 stage[];  // (block_warps, 2, N, 32): of x and of delta
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y), packets = hidden / W;
  const Slice slice = slice_of(rows);
  const auto slot = [&](int operand, int n) { return stage + ((warp * 2 + operand) * N + n) * warp_size + lane; };
  const auto fetch = [&](int row) {
    const std::int64_t start = std::int64_t{row} * hidden + lane * W;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const bool valid = lane + n * warp_size < packets;
      copy_async(slot(0, n), x + start + n * warp_size * W, valid);
      if (delta != nullptr) copy_async(slot(1, n), delta + start + n * warp_size * W, valid);
    }
    copies_commit();
  };
  if (slice.begin + warp < slice.end) fetch(slice.begin + warp);
  for (int row = slice.begin + warp; row < slice.end; row += block_warps) {
    copies_wait();
    Packet<T, W> in[N];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      in[n] = *reinterpret_cast<const Packet<T, W>*>(slot(0, n));
      if (delta != nullptr) in[n] = sum_of(in[n], *reinterpret_cast<const Packet<T, W>*>(slot(1, n)));
    }
    if (row + block_warps < slice.end) fetch(row + block_warps);  // to where this row came from
    if (residual != nullptr && (delta != nullptr || residual != x)) {
      T* const to = residual + std::int64_t{row} * hidden + lane * W;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        if (lane + n * warp_size < packets) store(to + n * warp_size * W, in[n]);
      }
    }
    finish_row(o, in, row, hidden, warp_size, gamma, beta, y, mean, rstd, nullptr);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(most_threads)
    forward_block_kernel(NormFactors o, int hidden, const T* x, const T* delta, T* residual, const T* gamma,
                         const T* beta, T* y, float* mean, float* rstd) {
  constexpr int W = packet_width<T>;
  __shared__ float shared[2][warp_size];
  const int step = static_cast<int>(blockDim.x), t = static_cast<int>(threadIdx.x), packets = hidden / W;
  const std::int64_t start = std::int64_t{blockIdx.x} * hidden + t * W;
  // All loads before the first store, which the compiler could not let them pass.
  Packet<T, W> in[N] = {}, change[N] = {};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    if (t + n * step >= packets) continue;
    in[n] = load<W>(x + start + n * step * W);
    if (delta != nullptr) change[n] = load<W>(delta + start + n * step * W);
  }
  if (residual != nullptr && (delta != nullptr || residual != x)) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (delta != nullptr) in[n] = sum_of(in[n], change[n]);
      if (t + n * step < packets) store(residual + start + n * step * W, in[n]);
    }
  }
  finish_row(o, in, std::int64_t{blockIdx.x}, hidden, step, gamma, beta, y, mean, rstd, shared);
}

/// Rows that are too long for registers, or not made of whole packets. Every thread comes back to its own elements, so
/// what it wrote it can read.
template <class T>
__global__ void __launch_bounds__(plain_norm_threads)
    forward_plain_kernel(NormFactors o, std::int64_t hidden, const T* x, const T* delta, T* residual, const T* gamma,
                         const T* beta, T* y, float* mean, float* rstd) {
  __shared__ float shared[2][warp_size];
  const std::int64_t row = blockIdx.x, start = row * hidden;
  const T* in = x + start;
  float sum[1] = {0};
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_norm_threads) {
    T value = in[d];
    if (delta != nullptr) value = from_float<T>(to_float(value) + to_float(delta[start + d]));
    if (residual != nullptr) residual[start + d] = value;
    sum[0] += to_float(value);
  }
  if (residual != nullptr) in = residual + start;
  float mu = 0;
  if (o.layer_norm) {
    block_sum(sum, shared[0]);
    mu = sum[0] * o.inverse;
  }
  float square[1] = {0};
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_norm_threads) {
    const float centred = to_float(in[d]) - mu;
    square[0] += centred * centred;
  }
  block_sum(square, shared[1]);
  const float r = rsqrtf(square[0] * o.inverse + o.epsilon);
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_norm_threads) {
    float value = (to_float(in[d]) - mu) * r;
    if (gamma != nullptr) value *= to_float(gamma[d]) + o.offset;
    if (beta != nullptr) value += to_float(beta[d]);
    y[start + d] = from_float<T>(value);
  }
  if (threadIdx.x == 0) {
    if (mean != nullptr) mean[row] = mu;
    if (rstd != nullptr) rstd[row] = r;
  }
}

/// Calls body(packets a thread) with `each` of 1 to warp_packets as a constant.
template <int N = 1, class Body>
cudaError_t with_packets(std::int64_t each, Body body) {
  if constexpr (N < warp_packets) {
    if (each > N) return with_packets<N + 1>(each, body);
  }
  return body(std::integral_constant<int, N>{});
}

}  // namespace

template <class T>
cudaError_t residual_norm_forward(const Context& context, const NormOptions& options, std::int64_t rows,
                                  std::int64_t hidden, const T* x, const T* delta, T* residual, const T* gamma,
                                  const T* beta, T* y, float* mean, float* rstd) {
  if (rows == 0) return cudaSuccess;
  const NormFactors o = norm_factors(options, hidden);
  constexpr int W = packet_width<T>;
  const std::int64_t packets = hidden / W;
  if (hidden % W != 0 || packets > most_threads * most_packets || !aligned(x, delta, residual, gamma, beta, y)) {
    forward_plain_kernel<<<grid_of(rows), plain_norm_threads, 0, context.stream>>>(o, hidden, x, delta, residual, gamma,
                                                                                   beta, y, mean, rstd);
    return cudaGetLastError();
  }
  if (packets <= warp_packets * warp_size)
    return with_packets(ceil_div(packets, warp_size), [&](auto each) {
      constexpr int N = decltype(each)::value;
      constexpr std::int64_t bytes = std::int64_t{block_warps} * 2 * N * warp_size * 16;
      const auto kernel = forward_warp_kernel<T, N>;
      int processors = 0, resident = 0;
      if (const cudaError_t status = device_attribute(cudaDevAttrMultiProcessorCount, processors);
          status != cudaSuccess)
        return status;
      if (const cudaError_t status = allow_shared(kernel, bytes); status != cudaSuccess) return status;
      if (const cudaError_t status = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
              &resident, kernel, block_warps * warp_size, static_cast<std::size_t>(bytes));
          status != cudaSuccess)
        return status;
      // Up to 96 KiB under way on each multiprocessor. Which rows fall to a block does not change their bits.
      const std::int64_t blocks = std::int64_t{processors} * std::min(resident, 24 / N);
      kernel<<<grid_of(std::min(blocks, ceil_div(rows, block_warps))), dim3(warp_size, block_warps), bytes,
               context.stream>>>(o, static_cast<int>(rows), static_cast<int>(hidden), x, delta, residual, gamma, beta,
                                 y, mean, rstd);
      return cudaGetLastError();
    });
  const auto kernel = packets <= 2 * most_threads ? forward_block_kernel<T, 2> : forward_block_kernel<T, 4>;
  const int threads = packets <= 2 * most_threads ? norm_threads(packets, 2) : most_threads;
  kernel<<<grid_of(rows), threads, 0, context.stream>>>(o, static_cast<int>(hidden), x, delta, residual, gamma, beta, y,
                                                        mean, rstd);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                   \
  template cudaError_t residual_norm_forward<T>(const Context&, const NormOptions&, std::int64_t, std::int64_t, \
                                                const T*, const T*, T*, const T*, const T*, T*, float*, float*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
