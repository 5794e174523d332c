#include "kernels/async_copy.cuh"
#include "kernels/instantiate.cuh"
#include "kernels/norm.cuh"

namespace dtcalc::cuda {
namespace {

// A block walks over a slice of the rows, `rows_at_once` of them between two barriers, and keeps its sums of dgamma and
// dbeta in registers. Rows are copied to shared memory one step ahead, so that a multiprocessor has some 80 KiB under
// way whatever it computes; each thread copies what it alone reads. Short rows share a block, each with a group of its
// warps. Rows that are too long, or not made of whole packets, take the plain path.

/// Blocks, each with its partial sums: two on each of the 132 multiprocessors of an H200. A constant, so that the sums
/// do not depend on the device.
constexpr std::int64_t most_row_blocks = 264;
std::int64_t row_blocks(std::int64_t rows) { return rows < most_row_blocks ? rows : most_row_blocks; }

constexpr int few_threads = 256, many_threads = 384;  // of a block; 384 leave each 168 registers
constexpr int most_packets = 4;                       // of a thread
/// Two steps of rows in shared memory: of 384 threads with four packets of three operands 144 KiB, below the 163 KiB
/// that a block has on sm_80.
constexpr int steps = 2;
constexpr int most_warps = many_threads / warp_size;
template <int N>
constexpr int rows_at_once = most_packets / N;  // N packets a thread

template <class T, int N, int threads, bool accumulate>
__global__ void __launch_bounds__(threads, N <= 2 ? 2 : 1)
    backward_kernel(NormFactors o, int rows, int hidden, const T* dy, const T* x, const T* gamma, const float* mean,
                    const float* rstd, T* dx, float* partials) {
  constexpr int W = packet_width<T>, R = rows_at_once<N>;
  constexpr bool keeps_gamma = N == 1;
  extern __shared__ uint4 stage[];  // (steps, operands, R, N, threads of the block)
  __shared__ float shared[2][most_warps][2 * R];
  const int t = static_cast<int>(threadIdx.x), size = static_cast<int>(blockDim.x);
  const int group = static_cast<int>(threadIdx.y), groups = static_cast<int>(blockDim.y);
  const int lane = t % warp_size, warps = size / warp_size, packets = hidden / W;
  constexpr int operands = accumulate ? 3 : 2;
  const Slice slice = slice_of(rows);
  const int stride = groups * hidden, unit = size * groups;  // between a thread's rows, between its slots
  uint4* const slots = stage + group * size + t;
  const auto slot = [&](int step, int operand, int r, int n) {
    return slots + (((step * operands + operand) * R + r) * N + n) * unit;
  };
  float mu[R], rs[R], next_mu[R], next_rs[R];
  // `row` and `start` are those of the group's first row, the thread's first element in it.
  const auto fetch = [&](int step, int row, std::int64_t start) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const bool exists = row + r * groups < slice.end;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const bool valid = exists && t + n * size < packets;
        const std::int64_t at = start + r * stride + n * size * W;
        copy_async(slot(step, 0, r, n), dy + at, valid);
        copy_async(slot(step, 1, r, n), x + at, valid);
        if constexpr (accumulate) copy_async(slot(step, 2, r, n), dx + at, valid);
      }
      next_mu[r] = exists && mean != nullptr ? mean[row + r * groups] : 0.0F;
      next_rs[r] = exists ? rstd[row + r * groups] : 0.0F;
    }
    copies_commit();
  };
  const auto staged = [&](int step, int operand, int r, int n, float(&value)[W]) {
    reinterpret_cast<const Packet<T, W>*>(slot(step, operand, r, n))->get(value);
  };
  int now = 0;
  std::int64_t start = std::int64_t{slice.begin + group} * hidden + t * W;
  fetch(now, slice.begin + group, start);
  float weight[keeps_gamma ? N : 1][W];
  const auto read_gamma = [&](int n, float(&to)[W]) {
    const int p = t + n * size;
#pragma unroll
    for (int w = 0; w < W; ++w) to[w] = 1;
    if (gamma == nullptr || p >= packets) return;
    load<W, Reuse::yes>(gamma + p * W).get(to);
#pragma unroll
    for (int w = 0; w < W; ++w) to[w] += o.offset;
  };
  if constexpr (keeps_gamma) {
#pragma unroll
    for (int n = 0; n < N; ++n) read_gamma(n, weight[n]);
  }

  float gamma_sum[N][W] = {}, beta_sum[N][W] = {};
  for (int first = slice.begin; first < slice.end; first += R * groups) {
#pragma unroll
    for (int r = 0; r < R; ++r) mu[r] = next_mu[r], rs[r] = next_rs[r];
    fetch(now ^ 1, first + group + R * groups, start + R * stride);
    copies_wait<1>();
    // Of each row: the sum of g xhat and, for LayerNorm, of g; g = dy gamma. What does not exist counts as zeros.
    float sum[2 * R] = {};
#pragma unroll
    for (int n = 0; n < N; ++n) {
      float(&scale)[W] = weight[keeps_gamma ? n : 0];
      if constexpr (!keeps_gamma) read_gamma(n, scale);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const float centre = -mu[r] * rs[r];
        float above[W], in[W];
        staged(now, 0, r, n, above);
        staged(now, 1, r, n, in);
#pragma unroll
        for (int w = 0; w < W; ++w) {
          const float hat = in[w] * rs[r] + centre, g = above[w] * scale[w];
          sum[2 * r] += g * hat;
          sum[2 * r + 1] += g;
          gamma_sum[n][w] += above[w] * hat;
          beta_sum[n][w] += above[w];
        }
      }
    }
    float total = warp_transposed_sum(sum);
    int spread = warp_size / (2 * R);  // lanes between the totals of two numbers
    if (warps > 1) {
      if (lane % spread == 0) shared[now][group * warps + t / warp_size][lane / spread] = total;
      __syncthreads();  // the other half is free: everybody who read it has passed the barrier since
      total = 0;
      for (int warp = lane / (2 * R); warp < warps; warp += spread)
        total += shared[now][group * warps + warp][lane % (2 * R)];
#pragma unroll
      for (int distance = 2 * R; distance < warp_size; distance *= 2)
        total += __shfl_xor_sync(0xFFFFFFFFU, total, distance);
      spread = 1;
    }
    // dx = rstd (g - level - xhat along), the terms gathered by what they multiply.
    float of_x[R], constant[R];
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const float along = __shfl_sync(0xFFFFFFFFU, total, 2 * r * spread) * o.inverse;
      const float level = __shfl_sync(0xFFFFFFFFU, total, (2 * r + 1) * spread) * (o.layer_norm ? o.inverse : 0.0F);
      of_x[r] = -rs[r] * rs[r] * along, constant[r] = -rs[r] * level - mu[r] * of_x[r];
    }
#pragma unroll
    for (int n = 0; n < N; ++n) {
      float(&scale)[W] = weight[keeps_gamma ? n : 0];
      if constexpr (!keeps_gamma) read_gamma(n, scale);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        float above[W], in[W], value[W];
        staged(now, 0, r, n, above);
        staged(now, 1, r, n, in);
#pragma unroll
        for (int w = 0; w < W; ++w) value[w] = in[w] * of_x[r] + (above[w] * scale[w] * rs[r] + constant[r]);
        if constexpr (accumulate) {
          float before[W];
          staged(now, 2, r, n, before);
#pragma unroll
          for (int w = 0; w < W; ++w) value[w] += before[w];
        }
        Packet<T, W> out;
        out.set(value);
        if (first + group + r * groups < slice.end && t + n * size < packets)
          store(dx + (start + r * stride + n * size * W), out);
      }
    }
    start += R * stride;
    now ^= 1;
  }
  if (partials == nullptr) return;
  // The groups' sums meet in shared memory: (groups, 2, hidden).
  copies_wait();
  __syncthreads();
  auto* const meeting = reinterpret_cast<float*>(stage);
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int p = t + n * size;
    if (p >= packets) continue;
    float* const mine = meeting + group * 2 * hidden + p * W;
#pragma unroll
    for (int w = 0; w < W; w += 4) {
      *reinterpret_cast<float4*>(mine + w) =
          make_float4(gamma_sum[n][w], gamma_sum[n][w + 1], gamma_sum[n][w + 2], gamma_sum[n][w + 3]);
      *reinterpret_cast<float4*>(mine + hidden + w) =
          make_float4(beta_sum[n][w], beta_sum[n][w + 1], beta_sum[n][w + 2], beta_sum[n][w + 3]);
    }
  }
  __syncthreads();
  for (int c = group * size + t; c < 2 * hidden; c += size * groups) {
    float total = 0;
    for (int other = 0; other < groups; ++other) total += meeting[other * 2 * hidden + c];
    partials[std::int64_t{blockIdx.x} * 2 * hidden + c] = total;
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
__global__ void __launch_bounds__(plain_norm_threads)
    backward_plain_kernel(NormFactors o, std::int64_t hidden, const T* dy, const T* x, const T* gamma,
                          const float* mean, const float* rstd, T* dx, bool accumulate) {
  __shared__ float shared[2 * warp_size];
  const std::int64_t row = blockIdx.x, start = row * hidden;
  const float mu = mean == nullptr ? 0.0F : mean[row], r = rstd[row];
  const auto weighted = [=](std::int64_t d) {
    const float g = to_float(dy[start + d]);
    return gamma != nullptr ? g * (to_float(gamma[d]) + o.offset) : g;
  };
  float sum[2] = {0, 0};
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_norm_threads) {
    const float g = weighted(d);
    sum[0] += g * (to_float(x[start + d]) - mu) * r;
    sum[1] += g;
  }
  block_sum(sum, shared);
  const float along = sum[0] * o.inverse, level = o.layer_norm ? sum[1] * o.inverse : 0.0F;
  for (std::int64_t d = threadIdx.x; d < hidden; d += plain_norm_threads) {
    const float value = r * (weighted(d) - level - (to_float(x[start + d]) - mu) * r * along);
    dx[start + d] = from_float<T>(accumulate ? to_float(dx[start + d]) + value : value);
  }
}

/// Calls body(packets a thread, threads at most) with the least that hold a row.
template <class Body>
cudaError_t with_block(std::int64_t packets, Body body) {
  using Few = std::integral_constant<int, few_threads>;
  if (packets <= few_threads) return body(std::integral_constant<int, 1>{}, Few{});
  if (packets <= 2 * few_threads) return body(std::integral_constant<int, 2>{}, Few{});
  if (packets <= 4 * few_threads) return body(std::integral_constant<int, 4>{}, Few{});
  return body(std::integral_constant<int, 4>{}, std::integral_constant<int, many_threads>{});
}

}  // namespace

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
  const NormFactors o = norm_factors(options, hidden);
  const std::int64_t blocks = row_blocks(rows), packets = hidden / packet_width<T>;
  const bool whole = hidden % packet_width<T> == 0 && aligned(dy, residual, gamma, dx);
  cudaError_t status = cudaSuccess;
  if (whole && packets <= most_packets * many_threads) {
    status = with_block(packets, [&](auto each, auto most) {
      constexpr int N = decltype(each)::value, threads = decltype(most)::value;
      const int size = norm_threads(packets, N), groups = N == 1 ? threads / size : 1;
      const std::int64_t bytes = std::int64_t{steps} * (accumulate ? 3 : 2) * rows_at_once<N> * N * size * groups * 16;
      const auto kernel = accumulate ? backward_kernel<T, N, threads, true> : backward_kernel<T, N, threads, false>;
      if (const cudaError_t refused = allow_shared(kernel, bytes); refused != cudaSuccess) return refused;
      const dim3 block(static_cast<unsigned>(size), static_cast<unsigned>(groups));
      kernel<<<grid_of(blocks), block, static_cast<std::size_t>(bytes), context.stream>>>(
          o, static_cast<int>(rows), static_cast<int>(hidden), dy, residual, gamma, mean, rstd, dx, partials);
      return cudaGetLastError();
    });
  } else {
    if (sums) {
      with_width<T>(whole, [&](auto width) {
        constexpr int W = decltype(width)::value;
        const dim3 grid(static_cast<unsigned>(ceil_div(hidden, 128 * W)), static_cast<unsigned>(blocks));
        weights_kernel<W><<<grid, 128, 0, context.stream>>>(rows, hidden, dy, residual, mean, rstd, partials);
      });
    }
    backward_plain_kernel<<<grid_of(rows), plain_norm_threads, 0, context.stream>>>(o, hidden, dy, residual, gamma,
                                                                                    mean, rstd, dx, accumulate);
    status = cudaGetLastError();
  }
  if (status != cudaSuccess || !sums) return status;
  return join_two_partials(context, blocks, hidden, partials, dgamma, dbeta);
}

#define DTCALC_INSTANTIATE(T, G)                                                                                     \
  template cudaError_t norm_backward<T, G>(const Context&, const NormOptions&, std::int64_t, std::int64_t, const T*, \
                                           const T*, const T*, const float*, const float*, T*, bool, G*, G*);
DTCALC_FOR_GRADIENTS(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
