#include "kernels/head_norm_rope.hpp"

#include "kernels/instantiate.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int threads = 256;
constexpr std::int64_t most_norm = 16384;

std::int64_t norm_size(const HeadNormRope& s) { return s.norm == QkNorm::full ? s.heads * s.head_size : s.head_size; }

/// Rotates `first`, `second` by the angle.
__device__ void rotate(float& first, float& second, float cosine, float sine) {
  const float x = first, y = second;
  first = x * cosine - y * sine;
  second = x * sine + y * cosine;
}

// --- rotation alone: whole packets where the pairs allow it ---------------------------------------------------------

/// A thread takes W channels and, for halves, the W that rotate with them. Channels behind the rotary ones are copied.
template <int W, class T>
__global__ void __launch_bounds__(threads) rope_kernel(std::int64_t units, HeadNormRope s, const T* x,
                                                       const float* cosine, const float* sine, float sign, T* out) {
  const std::int64_t unit = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  if (unit >= units) return;
  const bool halves = s.pairing == RopePairing::halves;
  const auto pairs = static_cast<int>(s.rotary_size / 2), size = static_cast<int>(s.head_size);
  const int rotating = halves ? pairs / W : 2 * pairs / W, per_head = rotating + (size - 2 * pairs) / W;
  const auto within = static_cast<int>(unit % per_head);
  const std::int64_t head = unit / per_head;  // of (B, S, A)
  const std::int64_t position = head / s.heads % s.sequence;
  const T* const from = x + head * size;
  T* const to = out + head * size;
  if (within >= rotating) {
    const int channel = 2 * pairs + (within - rotating) * W;
    store(to + channel, load<W>(from + channel));
    return;
  }
  const float* const c = cosine + position * pairs;
  const float* const n = sine + position * pairs;
  if (halves) {
    const int channel = within * W;
    const Packet<T, W> left = load<W>(from + channel), right = load<W>(from + pairs + channel);
    Packet<T, W> out_left, out_right;
#pragma unroll
    for (int w = 0; w < W; ++w) {
      float first = left[w], second = right[w];
      rotate(first, second, c[channel + w], sign * n[channel + w]);
      out_left.set(w, first);
      out_right.set(w, second);
    }
    store(to + channel, out_left);
    store(to + pairs + channel, out_right);
    return;
  }
  const int channel = within * W;
  const Packet<T, W> in = load<W>(from + channel);
  Packet<T, W> result;
#pragma unroll
  for (int w = 0; w < W; w += 2) {
    float first = in[w], second = in[w + 1];
    rotate(first, second, c[(channel + w) / 2], sign * n[(channel + w) / 2]);
    result.set(w, first);
    result.set(w + 1, second);
  }
  store(to + channel, result);
}

template <class T>
cudaError_t rope(const Context& context, const HeadNormRope& s, const T* x, const float* cosine, const float* sine,
                 float sign, T* out) {
  const std::int64_t all = s.batch * s.sequence * s.heads, pairs = s.rotary_size / 2;
  const bool halves = s.pairing == RopePairing::halves;
  const auto launch = [&](auto width) {
    constexpr int W = decltype(width)::value;
    const std::int64_t per_head = (halves ? pairs / W : 2 * pairs / W) + (s.head_size - 2 * pairs) / W;
    rope_kernel<W><<<grid_of(ceil_div(all * per_head, threads)), threads, 0, context.stream>>>(all * per_head, s, x,
                                                                                               cosine, sine, sign, out);
    return cudaGetLastError();
  };
  constexpr int width = packet_width<T>;
  const std::int64_t block = halves ? pairs : 2 * pairs;
  if (block % width == 0 && s.head_size % width == 0 && aligned(x, out))
    return launch(std::integral_constant<int, width>{});
  if (halves) return launch(std::integral_constant<int, 1>{});
  if (s.head_size % 2 == 0) return launch(std::integral_constant<int, 2>{});
  return cudaErrorInvalidValue;  // neighbours in a head of odd size: no model has it
}

// --- with a norm: a block per norm, the elements in shared memory in float ------------------------------------------

/// Blocks of the backward that each keep a partial sum of dweight: a constant, as in norm.cu.
constexpr std::int64_t most_blocks = 528;
std::int64_t blocks_of(const HeadNormRope& s) {
  const std::int64_t rows = s.batch * s.sequence;
  return rows < most_blocks ? rows : most_blocks;
}

/// Threads of a block: enough for the norm, whole warps.
int norm_threads(std::int64_t size) { return size <= 64 ? 32 : size <= 256 ? 64 : threads; }

/// Rotates the heads of one norm in shared memory; between barriers of the caller.
__device__ void rotate_all(const HeadNormRope& s, int size, float* value, std::int64_t position, const float* cosine,
                           const float* sine, float sign) {
  const auto pairs = static_cast<int>(s.rotary_size / 2), head_size = static_cast<int>(s.head_size);
  if (pairs == 0) return;
  const bool halves = s.pairing == RopePairing::halves;
  for (int i = static_cast<int>(threadIdx.x); i < size / head_size * pairs; i += static_cast<int>(blockDim.x)) {
    const int pair = i % pairs;
    float* const head = value + i / pairs * head_size;
    rotate(halves ? head[pair] : head[2 * pair], halves ? head[pair + pairs] : head[2 * pair + 1],
           cosine[position * pairs + pair], sign * sine[position * pairs + pair]);
  }
}

template <class T>
__global__ void norm_rope_kernel(HeadNormRope s, int size, const T* x, const T* weight, const float* cosine,
                                 const float* sine, T* out, float* rstd) {
  extern __shared__ float value[];
  __shared__ float shared[warp_size];
  const std::int64_t norm = blockIdx.x, start = norm * size, norms = s.heads * s.head_size / size;
  float sum[1] = {0};
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x)) {
    value[i] = to_float(x[start + i]);
    sum[0] += value[i] * value[i];
  }
  block_sum(sum, shared);
  const float r = rsqrtf(sum[0] / static_cast<float>(size) + static_cast<float>(s.epsilon));
  const float offset = s.weight_offset ? 1.0F : 0.0F;
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x))
    value[i] *= r * (to_float(weight[i]) + offset);
  if (threadIdx.x == 0 && rstd != nullptr) rstd[norm] = r;
  __syncthreads();
  rotate_all(s, size, value, norm / norms % s.sequence, cosine, sine, 1);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x))
    out[start + i] = from_float<T>(value[i]);
}

/// A block goes over whole positions and sums dweight of its own in shared memory (`size` floats behind the values).
template <class T>
__global__ void norm_rope_backward_kernel(HeadNormRope s, int size, const T* dy, T* dx, const T* x, const T* weight,
                                          const float* cosine, const float* sine, const float* rstd, float* partials) {
  extern __shared__ float value[];
  __shared__ float shared[warp_size];
  float* const weights = value + size;
  const int t = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  const float offset = s.weight_offset ? 1.0F : 0.0F;
  for (int i = t; i < size; i += step) weights[i] = 0;
  const std::int64_t rows = s.batch * s.sequence, norms = s.heads * s.head_size / size;
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    for (std::int64_t norm = row * norms; norm < (row + 1) * norms; ++norm) {
      const std::int64_t start = norm * size;
      __syncthreads();  // the values of the norm before are written out, its sum is read
      for (int i = t; i < size; i += step) value[i] = to_float(dy[start + i]);
      __syncthreads();
      rotate_all(s, size, value, row % s.sequence, cosine, sine, -1);
      __syncthreads();
      const float r = rstd[norm];
      float along[1] = {0};
      for (int i = t; i < size; i += step) {
        const float in = to_float(x[start + i]);
        weights[i] += value[i] * in * r;
        along[0] += value[i] * (to_float(weight[i]) + offset) * in;
      }
      block_sum(along, shared);
      const float slope = along[0] * r * r / static_cast<float>(size);
      for (int i = t; i < size; i += step) {
        const float in = to_float(x[start + i]);
        dx[start + i] = from_float<T>(r * (value[i] * (to_float(weight[i]) + offset) - in * slope));
      }
    }
  }
  if (partials == nullptr) return;
  for (int i = t; i < size; i += step) partials[std::int64_t{blockIdx.x} * size + i] = weights[i];
}

}  // namespace

template <class T>
cudaError_t head_norm_rope_forward(const Context& context, const HeadNormRope& shape, const T* x, const T* weight,
                                   const float* cosine, const float* sine, T* out, float* rstd) {
  const std::int64_t rows = shape.batch * shape.sequence;
  if (rows == 0) return cudaSuccess;
  if (shape.norm == QkNorm::none) return rope(context, shape, x, cosine, sine, 1, out);
  const std::int64_t size = norm_size(shape);
  if (size > most_norm) return cudaErrorInvalidValue;
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(float);
  const auto kernel = norm_rope_kernel<T>;
  if (const cudaError_t status =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
      status != cudaSuccess)
    return status;
  kernel<<<grid_of(rows * shape.heads * shape.head_size / size), norm_threads(size), bytes, context.stream>>>(
      shape, static_cast<int>(size), x, weight, cosine, sine, out, rstd);
  return cudaGetLastError();
}

std::int64_t head_norm_rope_backward_workspace_bytes(const HeadNormRope& shape) {
  if (shape.norm == QkNorm::none) return 0;
  return blocks_of(shape) * norm_size(shape) * static_cast<std::int64_t>(sizeof(float));
}

template <class T, class G>
cudaError_t head_norm_rope_backward(const Context& context, const HeadNormRope& shape, const T* dy, T* dx, const T* x,
                                    const T* weight, const float* cosine, const float* sine, const float* rstd,
                                    G* dweight) {
  if (shape.batch * shape.sequence == 0) return cudaSuccess;
  if (shape.norm == QkNorm::none) return rope(context, shape, dy, cosine, sine, -1, dx);
  const std::int64_t size = norm_size(shape);
  if (size > most_norm) return cudaErrorInvalidValue;
  if (dweight != nullptr && context.workspace_bytes < head_norm_rope_backward_workspace_bytes(shape))
    return cudaErrorInvalidValue;
  float* const partials = dweight != nullptr ? static_cast<float*>(context.workspace) : nullptr;
  const std::size_t bytes = 2 * static_cast<std::size_t>(size) * sizeof(float);
  const auto kernel = norm_rope_backward_kernel<T>;
  cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (status != cudaSuccess) return status;
  kernel<<<grid_of(blocks_of(shape)), norm_threads(size), bytes, context.stream>>>(
      shape, static_cast<int>(size), dy, dx, x, weight, cosine, sine, rstd, partials);
  status = cudaGetLastError();
  if (status != cudaSuccess || dweight == nullptr) return status;
  return join_partials(context, blocks_of(shape), size, partials, dweight);
}

#define DTCALC_INSTANTIATE(T)                                                                             \
  template cudaError_t head_norm_rope_forward<T>(const Context&, const HeadNormRope&, const T*, const T*, \
                                                 const float*, const float*, T*, float*);
#define DTCALC_INSTANTIATE_BACKWARD(T, G)                                                                         \
  template cudaError_t head_norm_rope_backward<T, G>(const Context&, const HeadNormRope&, const T*, T*, const T*, \
                                                     const T*, const float*, const float*, const float*, G*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
DTCALC_FOR_GRADIENTS(DTCALC_INSTANTIATE_BACKWARD)
#undef DTCALC_INSTANTIATE
#undef DTCALC_INSTANTIATE_BACKWARD

}  // namespace dtcalc::cuda
