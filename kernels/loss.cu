#include "kernels/loss.hpp"

#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

// A block per row. The row is read from memory once, into shared memory where it fits; the second pass over it, and the
// gradient's third, come from there, else from the cache. Rows of an odd vocabulary begin anywhere, so the elements up
// to the first and behind the last aligned packet are done one by one.
constexpr int threads = 512;

struct SoftMax {
  float max, sum;
};

__device__ SoftMax join(SoftMax a, SoftMax b) {
  const float max = fmaxf(a.max, b.max);
  if (max == -INFINITY) return {max, 0};  // two threads without elements
  return {max, a.sum * fast_exp2((a.max - max) * log2_e) + b.sum * fast_exp2((b.max - max) * log2_e)};
}

__device__ SoftMax block_softmax(SoftMax mine, SoftMax* shared) {
  const auto across = [](SoftMax value) {
#pragma unroll
    for (int distance = warp_size / 2; distance > 0; distance /= 2) {
      value = join(value, {__shfl_xor_sync(0xFFFFFFFFU, value.max, distance),
                           __shfl_xor_sync(0xFFFFFFFFU, value.sum, distance)});
    }
    return value;
  };
  mine = across(mine);
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  if (lane == 0) shared[warp] = mine;
  __syncthreads();
  return across(lane < threads / warp_size ? shared[lane] : SoftMax{-INFINITY, 0});
}

/// Elements [head, tail) of a row are aligned packets.
struct Span {
  int head, packets, tail;
};
template <class T>
__device__ Span span_of(const T* row, int count) {
  constexpr int width = packet_width<T>;
  const int beyond = static_cast<int>(reinterpret_cast<std::uintptr_t>(row) % 16 / sizeof(T));
  const int head = beyond == 0 ? 0 : width - beyond;
  if (head >= count) return {count, 0, count};
  const int packets = (count - head) / width;
  return {head, packets, head + packets * width};
}

/// What the loss is of: the number itself, or its soft cap.
struct Logit {
  float cap, inverse;
};
template <bool capped>
__device__ float logit_of(const Logit& l, float z) {
  return capped ? l.cap * tanhf(z * l.inverse) : z;
}
template <bool capped>
__device__ float slope_of(const Logit& l, float z) {
  if (!capped) return 1.0F;
  const float t = tanhf(z * l.inverse);
  return 1.0F - t * t;
}

/// `staged`: the packets of a row fit into the dynamic shared memory.
template <bool staged, bool gradient, bool capped, class T>
__global__ void __launch_bounds__(threads, 2)
    loss_kernel(int vocabulary, T* logits, const std::int32_t* targets, Logit logit, float factor, float* row_loss) {
  constexpr int W = packet_width<T>;
  extern __shared__ uint4 stage[];
  __shared__ SoftMax shared[warp_size];
  T* const z = logits + std::int64_t{blockIdx.x} * vocabulary;
  const int target = targets[blockIdx.x], t = static_cast<int>(threadIdx.x);
  const Span span = span_of(z, vocabulary);
  T* const packed = z + span.head;
  if (target < 0) {
    if (t == 0) row_loss[blockIdx.x] = 0;
    if constexpr (gradient) {
      for (int i = t; i < span.head; i += threads) z[i] = from_float<T>(0.0F);
      for (int p = t; p < span.packets; p += threads) reinterpret_cast<uint4*>(packed)[p] = make_uint4(0, 0, 0, 0);
      for (int i = span.tail + t; i < vocabulary; i += threads) z[i] = from_float<T>(0.0F);
    }
    return;
  }
  const float at_target = logit_of<capped>(logit, to_float(z[target]));  // before the gradient overwrites it

  SoftMax mine{-INFINITY, 0};
  const auto take = [&](T value) { mine = join(mine, {logit_of<capped>(logit, to_float(value)), 1}); };
  for (int i = t; i < span.head; i += threads) take(z[i]);
  for (int i = span.tail + t; i < vocabulary; i += threads) take(z[i]);
#pragma unroll 4
  for (int p = t; p < span.packets; p += threads) {
    const Packet<T, W> in = staged ? load<W>(packed + p * W) : load<W, Reuse::yes>(packed + p * W);
    if constexpr (staged) stage[p] = *reinterpret_cast<const uint4*>(&in);
    float value[W], max = mine.max;
#pragma unroll
    for (int w = 0; w < W; ++w) {
      value[w] = logit_of<capped>(logit, in[w]);
      max = fmaxf(max, value[w]);
    }
    if (max == -INFINITY) continue;
    const float shift = max * log2_e;
    float sum = mine.sum * fast_exp2(mine.max * log2_e - shift);
#pragma unroll
    for (int w = 0; w < W; ++w) sum += fast_exp2(value[w] * log2_e - shift);
    mine = {max, sum};
  }
  const SoftMax total = block_softmax(mine, shared);
  if (t == 0) row_loss[blockIdx.x] = logf(total.sum) + (total.max - at_target);
  if constexpr (!gradient) return;

  const float weight = factor / total.sum, shift = total.max * log2_e;
  const auto gradient_of = [&](float value, float hit) {
    const float probability = fast_exp2(logit_of<capped>(logit, value) * log2_e - shift) * weight;
    return from_float<T>((probability - hit) * slope_of<capped>(logit, value));
  };
  for (int i = t; i < span.head; i += threads) z[i] = gradient_of(to_float(z[i]), i == target ? factor : 0.0F);
  for (int i = span.tail + t; i < vocabulary; i += threads)
    z[i] = gradient_of(to_float(z[i]), i == target ? factor : 0.0F);
#pragma unroll 2
  for (int p = t; p < span.packets; p += threads) {
    Packet<T, W> in;
    if constexpr (staged) {
      in = *reinterpret_cast<const Packet<T, W>*>(stage + p);
    } else {
      in = load<W, Reuse::yes>(packed + p * W);
    }
    Packet<T, W> out;
#pragma unroll
    for (int w = 0; w < W; ++w) out.put(w, gradient_of(in[w], 0));
    const int hit = target - span.head - p * W;
    if (hit >= 0 && hit < W) {
#pragma unroll
      for (int w = 0; w < W; ++w)
        if (w == hit) out.put(w, gradient_of(in[w], factor));
    }
    store<Reuse::no>(packed + p * W, out);
  }
}

constexpr int sum_threads = 1024;

__global__ void sum_kernel(std::int64_t rows, const float* row_loss, double* total, bool accumulate) {
  __shared__ double shared[warp_size];
  double sum[1] = {0};
  for (std::int64_t row = threadIdx.x; row < rows; row += sum_threads) sum[0] += static_cast<double>(row_loss[row]);
  block_sum(sum, shared);
  if (threadIdx.x == 0) *total = accumulate ? *total + sum[0] : sum[0];
}

template <bool gradient, class T>
cudaError_t launch(const Context& context, std::int64_t rows, std::int64_t vocabulary, T* logits,
                   const std::int32_t* targets, double softcap, double factor, float* row_loss) {
  if (rows == 0) return cudaSuccess;
  const auto narrow = static_cast<int>(vocabulary);
  const auto f = static_cast<float>(factor);
  const Logit logit{static_cast<float>(softcap), softcap > 0 ? static_cast<float>(1 / softcap) : 0.0F};
  const auto start = [&](auto kernel, std::int64_t bytes) {
    if (const cudaError_t status =
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
        status != cudaSuccess)
      return status;
    kernel<<<grid_of(rows), threads, static_cast<std::size_t>(bytes), context.stream>>>(narrow, logits, targets, logit,
                                                                                        f, row_loss);
    return cudaGetLastError();
  };
  if constexpr (gradient) {
    // The gradient reads the row twice; staged only where two blocks fit on a multiprocessor of sm_90 (228 KiB, 1 KiB
    // of it the system's for each block): one alone would wait at its barriers with nobody to take over.
    constexpr std::int64_t most_staged = 112 * 1024;
    const std::int64_t bytes = vocabulary * static_cast<std::int64_t>(sizeof(T)) / 16 * 16;
    int device = 0, limit = 0;
    if (const cudaError_t status = cudaGetDevice(&device); status != cudaSuccess) return status;
    if (const cudaError_t status = cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
        status != cudaSuccess)
      return status;
    if (bytes <= most_staged && bytes <= limit - 1024)
      return softcap > 0 ? start(loss_kernel<true, true, true, T>, bytes)
                         : start(loss_kernel<true, true, false, T>, bytes);
  }
  return softcap > 0 ? start(loss_kernel<false, gradient, true, T>, 0)
                     : start(loss_kernel<false, gradient, false, T>, 0);
}

}  // namespace

template <class T>
cudaError_t loss_forward(const Context& context, std::int64_t rows, std::int64_t vocabulary, const T* logits,
                         const std::int32_t* targets, double softcap, float* row_loss) {
  // Without the gradient nothing is written; one kernel serves both.
  return launch<false>(context, rows, vocabulary, const_cast<T*>(logits), targets, softcap, 0, row_loss);
}

template <class T>
cudaError_t loss_forward_backward(const Context& context, std::int64_t rows, std::int64_t vocabulary, T* logits,
                                  const std::int32_t* targets, double softcap, double factor, float* row_loss) {
  return launch<true>(context, rows, vocabulary, logits, targets, softcap, factor, row_loss);
}

cudaError_t loss_sum(const Context& context, std::int64_t rows, const float* row_loss, double* total, bool accumulate) {
  sum_kernel<<<1, sum_threads, 0, context.stream>>>(rows, row_loss, total, accumulate);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template cudaError_t loss_forward<T>(const Context&, std::int64_t, std::int64_t, const T*, const std::int32_t*,    \
                                       double, float*);                                                              \
  template cudaError_t loss_forward_backward<T>(const Context&, std::int64_t, std::int64_t, T*, const std::int32_t*, \
                                                double, double, float*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
