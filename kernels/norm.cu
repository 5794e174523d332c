#include "kernels/norm.hpp"

#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

// Fast path: a warp or a block of up to 512 threads per row, which holds it in registers. Rows that are longer, or not
// made of whole packets, take the plain path, which reads the row once per pass (from the cache).
constexpr int most_threads = 512, most_packets = 4, plain_threads = 512;
constexpr int forward_warps = 4;  // rows of a block of the forward when each has a warp
constexpr int small_block = 256;  // up to which three blocks of the backward share a multiprocessor's registers

/// Blocks of the backward, each with its partial sums for dgamma and dbeta: three on each of the 132 multiprocessors of
/// an H200. A constant, so that the sums do not depend on the device.
constexpr std::int64_t most_row_blocks = 396;
std::int64_t row_blocks(std::int64_t rows) { return rows < most_row_blocks ? rows : most_row_blocks; }

struct Options {
  float epsilon, inverse, offset;
  bool layer_norm;
};
Options options_of(const NormOptions& o, std::int64_t hidden) {
  return {static_cast<float>(o.epsilon), static_cast<float>(1.0 / static_cast<double>(hidden)),
          o.weight_offset ? 1.0F : 0.0F, o.kind == Norm::layer_norm};
}

template <class T, int W, int N>
__global__ void __launch_bounds__(N == 8 ? forward_warps * warp_size : most_threads)
    forward_kernel(Options o, std::int64_t rows, std::int64_t hidden, const T* x, const T* delta, T* residual,
                   const T* gamma, const T* beta, T* y, float* mean, float* rstd) {
  __shared__ float shared[2][warp_size];
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y, start = row * hidden;
  if (row >= rows) return;  // blockDim.y is 1 unless a warp has its own row and meets nobody at a barrier
  const int packets = static_cast<int>(hidden / W);
  // All loads before the first store, which the compiler could not let them pass.
  Packet<T, W> in[N], change[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
    if (p >= packets) continue;
    in[n] = load<W>(x + start + p * W);
    if (delta != nullptr) change[n] = load<W>(delta + start + p * W);
  }
  float sum[1] = {0};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
    if (p >= packets) continue;
    if (delta != nullptr) {
#pragma unroll
      for (int w = 0; w < W; ++w) in[n].set(w, in[n][w] + change[n][w]);
    }
    if (residual != nullptr && (delta != nullptr || residual != x)) store(residual + start + p * W, in[n]);
#pragma unroll
    for (int w = 0; w < W; ++w) sum[0] += in[n][w];
  }
  float mu = 0;
  if (o.layer_norm) {
    block_sum(sum, shared[0]);
    mu = sum[0] * o.inverse;
  }
  float square[1] = {0};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
    if (p < packets) {
#pragma unroll
      for (int w = 0; w < W; ++w) square[0] += (in[n][w] - mu) * (in[n][w] - mu);
    }
  }
  block_sum(square, shared[1]);
  const float r = rsqrtf(square[0] * o.inverse + o.epsilon);
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
    if (p >= packets) continue;
    Packet<T, W> out;
    float normed[W];
#pragma unroll
    for (int w = 0; w < W; ++w) normed[w] = (in[n][w] - mu) * r;
    if (gamma != nullptr) {
      const Packet<T, W> weight = load<W, Reuse::yes>(gamma + p * W);
#pragma unroll
      for (int w = 0; w < W; ++w) normed[w] *= weight[w] + o.offset;
    }
    if (beta != nullptr) {
      const Packet<T, W> bias = load<W, Reuse::yes>(beta + p * W);
#pragma unroll
      for (int w = 0; w < W; ++w) normed[w] += bias[w];
    }
#pragma unroll
    for (int w = 0; w < W; ++w) out.set(w, normed[w]);
    store(y + start + p * W, out);
  }
  if (threadIdx.x == 0) {
    if (mean != nullptr) mean[row] = mu;
    if (rstd != nullptr) rstd[row] = r;
  }
}

/// The plain path. Every thread comes back to its own elements, so what it wrote it can read.
template <class T>
__global__ void forward_plain_kernel(Options o, std::int64_t hidden, const T* x, const T* delta, T* residual,
                                     const T* gamma, const T* beta, T* y, float* mean, float* rstd) {
  __shared__ float shared[2][warp_size];
  const std::int64_t row = blockIdx.x, start = row * hidden;
  const T* in = x + start;
  float sum[1] = {0};
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_threads) {
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
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_threads) {
    const float centred = to_float(in[d]) - mu;
    square[0] += centred * centred;
  }
  block_sum(square, shared[1]);
  const float r = rsqrtf(square[0] * o.inverse + o.epsilon);
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_threads) {
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

/// A row of the backward as it is loaded, so that the next one is under way while this one is summed.
template <class T, int W, int N>
struct Row {
  Packet<T, W> dy[N], x[N];
  float mu, r;

  __device__ void fetch(int row, int hidden, int packets, const T* from_dy, const T* from_x, const float* mean,
                        const float* rstd) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
      if (p >= packets) continue;
      dy[n] = load<W>(from_dy + std::int64_t{row} * hidden + p * W);
      x[n] = load<W>(from_x + std::int64_t{row} * hidden + p * W);
    }
    mu = mean == nullptr ? 0.0F : mean[row];
    r = rstd[row];
  }
};

/// dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma, xhat = (x - mean) rstd; RMSNorm lacks the second
/// term. `partials` (blocks, 2, hidden) gets the block's sums of dy xhat and dy, null when nobody wants them.
template <class T, int W, int N, int threads>
__global__ void __launch_bounds__(threads, threads <= 256 ? 3 : 1)
    backward_kernel(Options o, int rows, int hidden, const T* dy, const T* x, const T* gamma, const float* mean,
                    const float* rstd, T* dx, bool accumulate, float* partials) {
  __shared__ float shared[2][2 * warp_size];
  constexpr bool sums = N <= 2, ahead = N <= 2;
  const int packets = static_cast<int>(hidden / W);
  float gamma_sum[sums ? N : 1][W] = {}, beta_sum[sums ? N : 1][W] = {};
  Row<T, W, N> now, next;
  const int step = static_cast<int>(gridDim.x);
  now.fetch(static_cast<int>(blockIdx.x), hidden, packets, dy, x, mean, rstd);
  int turn = 0;
  for (int row = static_cast<int>(blockIdx.x); row < rows; row += step) {
    if (ahead && row + step < rows) next.fetch(row + step, hidden, packets, dy, x, mean, rstd);
    float sum[2] = {0, 0};
    Packet<T, W> before[N];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
      if (p >= packets) continue;
      if (accumulate) before[n] = load<W>(dx + std::int64_t{row} * hidden + p * W);
      Packet<T, W> weight;
      if (gamma != nullptr) weight = load<W, Reuse::yes>(gamma + p * W);
#pragma unroll
      for (int w = 0; w < W; ++w) {
        const float g = now.dy[n][w], hat = (now.x[n][w] - now.mu) * now.r;
        const float weighted = gamma != nullptr ? g * (weight[w] + o.offset) : g;
        sum[0] += weighted * hat;
        sum[1] += weighted;
        if constexpr (sums) {
          gamma_sum[n][w] += g * hat;
          beta_sum[n][w] += g;
        }
      }
    }
    block_sum(sum, shared[turn]);
    turn ^= 1;  // the other half is free: everybody who read it has passed the barrier since
    const float along = sum[0] * o.inverse, level = o.layer_norm ? sum[1] * o.inverse : 0.0F;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
      if (p >= packets) continue;
      Packet<T, W> weight, out;
      if (gamma != nullptr) weight = load<W, Reuse::yes>(gamma + p * W);
      T* const to = dx + std::int64_t{row} * hidden + p * W;
#pragma unroll
      for (int w = 0; w < W; ++w) {
        const float g = gamma != nullptr ? now.dy[n][w] * (weight[w] + o.offset) : now.dy[n][w];
        const float hat = (now.x[n][w] - now.mu) * now.r;
        const float value = now.r * (g - level - hat * along);
        out.set(w, accumulate ? before[n][w] + value : value);
      }
      store(to, out);
    }
    if constexpr (ahead) {
      now = next;
    } else {
      if (row + step < rows) now.fetch(row + step, hidden, packets, dy, x, mean, rstd);
    }
  }
  if constexpr (sums) {
    if (partials == nullptr) return;
    float* const mine = partials + std::int64_t{blockIdx.x} * 2 * hidden;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int p = static_cast<int>(threadIdx.x) + n * static_cast<int>(blockDim.x);
      if (p >= packets) continue;
#pragma unroll
      for (int w = 0; w < W; ++w) {
        mine[p * W + w] = gamma_sum[n][w];
        mine[hidden + p * W + w] = beta_sum[n][w];
      }
    }
  }
}

/// The partial sums alone, a thread per packet of columns and block of rows. Runs before dx, which may be dy.
template <int W, class T>
__global__ void weights_kernel(std::int64_t rows, std::int64_t hidden, const T* dy, const T* x, const float* mean,
                               const float* rstd, float* partials) {
  const std::int64_t d = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * W;
  if (d >= hidden) return;
  float gamma_sum[W] = {}, beta_sum[W] = {};
#pragma unroll 2
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const Packet<T, W> g = load<W, Reuse::yes>(dy + row * hidden + d), in = load<W, Reuse::yes>(x + row * hidden + d);
    const float mu = mean == nullptr ? 0.0F : mean[row], r = rstd[row];
#pragma unroll
    for (int w = 0; w < W; ++w) {
      gamma_sum[w] += g[w] * ((in[w] - mu) * r);
      beta_sum[w] += g[w];
    }
  }
#pragma unroll
  for (int w = 0; w < W; ++w) {
    partials[blockIdx.y * 2 * hidden + d + w] = gamma_sum[w];
    partials[(blockIdx.y * 2 + 1) * hidden + d + w] = beta_sum[w];
  }
}

template <class T>
__global__ void backward_plain_kernel(Options o, std::int64_t hidden, const T* dy, const T* x, const T* gamma,
                                      const float* mean, const float* rstd, T* dx, bool accumulate) {
  __shared__ float shared[2 * warp_size];
  const std::int64_t row = blockIdx.x, start = row * hidden;
  const float mu = mean == nullptr ? 0.0F : mean[row], r = rstd[row];
  const auto weighted = [=](std::int64_t d) {
    const float g = to_float(dy[start + d]);
    return gamma != nullptr ? g * (to_float(gamma[d]) + o.offset) : g;
  };
  float sum[2] = {0, 0};
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_threads) {
    const float g = weighted(d);
    sum[0] += g * (to_float(x[start + d]) - mu) * r;
    sum[1] += g;
  }
  block_sum(sum, shared);
  const float along = sum[0] * o.inverse, level = o.layer_norm ? sum[1] * o.inverse : 0.0F;
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_threads) {
    const float value = r * (weighted(d) - level - (to_float(x[start + d]) - mu) * r * along);
    dx[start + d] = from_float<T>(accumulate ? to_float(dx[start + d]) + value : value);
  }
}

int threads_of(std::int64_t packets, int each) {
  return static_cast<int>(ceil_div(ceil_div(packets, each), warp_size)) * warp_size;
}

/// Calls body(packets a thread) with the least of 1, 2 and 4 that a block of `threads` can hold.
template <class Body>
cudaError_t with_packets(std::int64_t packets, int threads, Body body) {
  if (packets <= threads) return body(std::integral_constant<int, 1>{});
  if (packets <= 2 * threads) return body(std::integral_constant<int, 2>{});
  return body(std::integral_constant<int, 4>{});
}

template <class T>
bool fast(std::int64_t hidden, bool pointers_aligned) {
  constexpr int width = packet_width<T>;
  return pointers_aligned && hidden % width == 0 && hidden / width <= most_threads * most_packets;
}

}  // namespace

template <class T>
cudaError_t residual_norm_forward(const Context& context, const NormOptions& options, std::int64_t rows,
                                  std::int64_t hidden, const T* x, const T* delta, T* residual, const T* gamma,
                                  const T* beta, T* y, float* mean, float* rstd) {
  if (rows == 0) return cudaSuccess;
  const Options o = options_of(options, hidden);
  if (!fast<T>(hidden, aligned(x, delta, residual, gamma, beta, y))) {
    forward_plain_kernel<<<grid_of(rows), plain_threads, 0, context.stream>>>(o, hidden, x, delta, residual, gamma,
                                                                              beta, y, mean, rstd);
    return cudaGetLastError();
  }
  constexpr int W = packet_width<T>;
  const std::int64_t packets = hidden / W;
  const auto start = [&](auto each, dim3 block) {
    constexpr int N = decltype(each)::value;
    forward_kernel<T, W, N><<<grid_of(ceil_div(rows, block.y)), block, 0, context.stream>>>(
        o, rows, hidden, x, delta, residual, gamma, beta, y, mean, rstd);
    return cudaGetLastError();
  };
  // A warp per row as long as eight packets a thread hold it: no barriers, so the loads of other rows fill the gaps.
  const dim3 warps(warp_size, forward_warps);
  if (packets <= 2 * warp_size) return start(std::integral_constant<int, 2>{}, warps);
  if (packets <= 4 * warp_size) return start(std::integral_constant<int, 4>{}, warps);
  if (packets <= 8 * warp_size) return start(std::integral_constant<int, 8>{}, warps);
  return packets <= 2 * most_threads
             ? start(std::integral_constant<int, 2>{}, dim3(static_cast<unsigned>(threads_of(packets, 2))))
             : start(std::integral_constant<int, 4>{}, dim3(most_threads));
}

std::int64_t norm_backward_workspace_bytes(std::int64_t rows, std::int64_t hidden) {
  return 2 * row_blocks(rows) * hidden * static_cast<std::int64_t>(sizeof(float));
}

template <class T, class G>
cudaError_t norm_backward(const Context& context, const NormOptions& options, std::int64_t rows, std::int64_t hidden,
                          const T* dy, const T* residual, const T* gamma, const float* mean, const float* rstd, T* dx,
                          bool accumulate, G* dgamma, G* dbeta) {
  if (rows == 0) return cudaSuccess;
  const bool sums = dgamma != nullptr || dbeta != nullptr;
  if (sums && context.workspace_bytes < norm_backward_workspace_bytes(rows, hidden)) return cudaErrorInvalidValue;
  float* const partials = sums ? static_cast<float*>(context.workspace) : nullptr;
  const Options o = options_of(options, hidden);
  const std::int64_t blocks = row_blocks(rows);
  const std::int64_t packets = hidden / packet_width<T>;
  const bool in_registers = fast<T>(hidden, aligned(dy, residual, gamma, dx));
  if (sums && (!in_registers || packets > 2 * most_threads)) {
    with_width<T>(in_registers, [&](auto width) {
      constexpr int W = decltype(width)::value;
      const dim3 grid(static_cast<unsigned>(ceil_div(hidden, 128 * W)), static_cast<unsigned>(blocks));
      weights_kernel<W><<<grid, 128, 0, context.stream>>>(rows, hidden, dy, residual, mean, rstd, partials);
    });
  }
  cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  if (in_registers) {
    status = with_packets(packets, most_threads, [&](auto each) {
      constexpr int N = decltype(each)::value;
      const auto kernel = packets <= small_block ? backward_kernel<T, packet_width<T>, 1, small_block>
                                                 : backward_kernel<T, packet_width<T>, N, most_threads>;
      kernel<<<grid_of(blocks), threads_of(packets, N), 0, context.stream>>>(
          o, static_cast<int>(rows), static_cast<int>(hidden), dy, residual, gamma, mean, rstd, dx, accumulate,
          partials);
      return cudaGetLastError();
    });
  } else {
    backward_plain_kernel<<<grid_of(rows), plain_threads, 0, context.stream>>>(o, hidden, dy, residual, gamma, mean,
                                                                               rstd, dx, accumulate);
    status = cudaGetLastError();
  }
  if (status == cudaSuccess && dgamma != nullptr)
    status = join_partials(context, blocks, hidden, partials, 2 * hidden, dgamma);
  if (status == cudaSuccess && dbeta != nullptr)
    status = join_partials(context, blocks, hidden, partials + hidden, 2 * hidden, dbeta);
  return status;
}

#define DTCALC_INSTANTIATE(T)                                                                                   \
  template cudaError_t residual_norm_forward<T>(const Context&, const NormOptions&, std::int64_t, std::int64_t, \
                                                const T*, const T*, T*, const T*, const T*, T*, float*, float*);
#define DTCALC_INSTANTIATE_BACKWARD(T, G)                                                                            \
  template cudaError_t norm_backward<T, G>(const Context&, const NormOptions&, std::int64_t, std::int64_t, const T*, \
                                           const T*, const T*, const float*, const float*, T*, bool, G*, G*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
DTCALC_INSTANTIATE_BACKWARD(float, float)
DTCALC_INSTANTIATE_BACKWARD(bf16, float)
DTCALC_INSTANTIATE_BACKWARD(fp16, float)
DTCALC_INSTANTIATE_BACKWARD(bf16, bf16)
DTCALC_INSTANTIATE_BACKWARD(fp16, fp16)
#undef DTCALC_INSTANTIATE
#undef DTCALC_INSTANTIATE_BACKWARD

}  // namespace dtcalc::cuda
