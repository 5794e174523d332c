#include "kernels/norm.hpp"

#include "kernels/instantiate.cuh"
#include "kernels/norm.cuh"

namespace dtcalc::cuda {
namespace {

// A warp or a block of up to 512 threads per row, which holds it in registers.
constexpr int most_threads = 512, most_packets = 4;
constexpr int warp_packets = 8;                                   // most of a thread when a warp has a row to itself
constexpr int row_warps = 4, warp_block = row_warps * warp_size;  // rows and threads of a block then

template <class T, int N, bool warp_row>
__global__ void __launch_bounds__(warp_row ? warp_block : most_threads, warp_row ? 4 : 1)
    forward_kernel(NormFactors o, std::int64_t rows, int hidden, const T* x, const T* delta, T* residual,
                   const T* gamma, const T* beta, T* y, float* mean, float* rstd) {
  constexpr int W = packet_width<T>;
  __shared__ float shared[2][warp_size];
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // blockDim.y is 1 unless a warp has its own row and meets nobody at a barrier
  const int step = warp_row ? warp_size : static_cast<int>(blockDim.x), t = static_cast<int>(threadIdx.x);
  const int packets = hidden / W;
  const std::int64_t start = row * hidden + t * W;
  // All loads before the first store, which the compiler could not let them pass. Where the row has ended, zeros.
  Packet<T, W> in[N] = {}, change[N] = {};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    if (t + n * step < packets) in[n] = load<W>(x + start + n * step * W);
  }
  if (delta != nullptr) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (t + n * step < packets) change[n] = load<W>(delta + start + n * step * W);
    }
#pragma unroll
    for (int n = 0; n < N; ++n) in[n] = sum_of(in[n], change[n]);
  }
  if (residual != nullptr && (delta != nullptr || residual != x)) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (t + n * step < packets) store(residual + start + n * step * W, in[n]);
    }
  }
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
    store(y + start + n * step * W, out);
  }
  if (t == 0) {
    if (mean != nullptr) mean[row] = mu;
    if (rstd != nullptr) rstd[row] = r;
  }
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
  const auto start = [&](auto each, auto warp_row, dim3 block) {
    forward_kernel<T, decltype(each)::value, decltype(warp_row)::value>
        <<<grid_of(ceil_div(rows, block.y)), block, 0, context.stream>>>(o, rows, static_cast<int>(hidden), x, delta,
                                                                         residual, gamma, beta, y, mean, rstd);
    return cudaGetLastError();
  };
  // A warp per row as long as eight packets a thread hold it: no barriers, so the loads of other rows fill the gaps.
  if (packets <= warp_packets * warp_size)
    return with_packets(ceil_div(packets, warp_size),
                        [&](auto each) { return start(each, std::true_type{}, dim3(warp_size, row_warps)); });
  return packets <= 2 * most_threads ? start(std::integral_constant<int, 2>{}, std::false_type{},
                                             dim3(static_cast<unsigned>(norm_threads(packets, 2))))
                                     : start(std::integral_constant<int, 4>{}, std::false_type{}, dim3(most_threads));
}

#define DTCALC_INSTANTIATE(T)                                                                                   \
  template cudaError_t residual_norm_forward<T>(const Context&, const NormOptions&, std::int64_t, std::int64_t, \
                                                const T*, const T*, T*, const T*, const T*, T*, float*, float*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
