#include "kernels/loss.hpp"

#include <algorithm>

#include "kernels/async_copy.cuh"
#include "kernels/instantiate.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

// A block per row. For the gradient a multiprocessor keeps two rows in shared memory where they fit: one under way from
// memory while the other is summed and overwritten, so that every logit is read once and written once and the memory
// never waits. Elsewhere, and for the loss alone, the row is read in passes, the later ones from the cache. Rows of an
// odd vocabulary begin anywhere, so the elements up to the first and behind the last aligned packet are done one by
// one.
constexpr int threads = 512, piped_threads = 1024;

struct SoftMax {
  float max, sum;
};

__device__ SoftMax join(SoftMax a, SoftMax b) {
  const float max = fmaxf(a.max, b.max);
  if (max == -INFINITY) return {max, 0};  // two threads without elements
  return {max, a.sum * fast_exp2((a.max - max) * log2_e) + b.sum * fast_exp2((b.max - max) * log2_e)};
}

/// `shared` (32) may be used again after the next barrier.
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
  return across(lane < static_cast<int>(blockDim.x) / warp_size ? shared[lane] : SoftMax{-INFINITY, 0});
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

template <bool capped, class T>
__device__ void take(const Logit& logit, T value, SoftMax& mine) {
  mine = join(mine, {logit_of<capped>(logit, to_float(value)), 1});
}
template <bool capped, class T, int W>
__device__ void take(const Logit& logit, const Packet<T, W>& in, SoftMax& mine) {
  float value[W], max = mine.max;
#pragma unroll
  for (int w = 0; w < W; ++w) {
    value[w] = logit_of<capped>(logit, in[w]);
    max = fmaxf(max, value[w]);
  }
  if (max == -INFINITY) return;
  const float shift = max * log2_e;
  float sum = mine.sum * fast_exp2(mine.max * log2_e - shift);
#pragma unroll
  for (int w = 0; w < W; ++w) sum += fast_exp2(value[w] * log2_e - shift);
  mine = {max, sum};
}

/// The gradient of a row from its softmax: (probability - hit) times `factor` and the soft cap's slope.
struct Gradient {
  float weight, shift, factor;
  __device__ Gradient(const SoftMax& total, float times)
      : weight(times / total.sum), shift(total.max * log2_e), factor(times) {}
  template <bool capped>
  __device__ float of(const Logit& logit, float z, bool hit) const {
    const float probability = fast_exp2(logit_of<capped>(logit, z) * log2_e - shift) * weight;
    return (hit ? probability - factor : probability) * slope_of<capped>(logit, z);
  }
  /// Of a packet whose element `hit`, if it has that one, is the target.
  template <bool capped, class T, int W>
  __device__ Packet<T, W> of(const Logit& logit, const Packet<T, W>& in, int hit) const {
    float value[W];
#pragma unroll
    for (int w = 0; w < W; ++w) value[w] = of<capped>(logit, in[w], false);
    if (hit >= 0 && hit < W) {
#pragma unroll
      for (int w = 0; w < W; ++w)
        if (w == hit) value[w] = of<capped>(logit, in[w], true);
    }
    Packet<T, W> out;
    out.set(value);
    return out;
  }
};

template <class T>
__device__ void zero_row(T* z, const Span& span, int vocabulary) {
  const int t = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  for (int i = t; i < span.head; i += step) z[i] = from_float<T>(0.0F);
  for (int p = t; p < span.packets; p += step) reinterpret_cast<uint4*>(z + span.head)[p] = make_uint4(0, 0, 0, 0);
  for (int i = span.tail + t; i < vocabulary; i += step) z[i] = from_float<T>(0.0F);
}

template <bool gradient, bool capped, class T>
__global__ void __launch_bounds__(threads, 2)
    loss_kernel(int vocabulary, T* logits, const std::int32_t* targets, Logit logit, float factor, float* row_loss) {
  constexpr int W = packet_width<T>;
  __shared__ SoftMax shared[warp_size];
  T* const z = logits + std::int64_t{blockIdx.x} * vocabulary;
  const int target = targets[blockIdx.x], t = static_cast<int>(threadIdx.x);
  const Span span = span_of(z, vocabulary);
  T* const packed = z + span.head;
  if (target < 0) {
    if (t == 0) row_loss[blockIdx.x] = 0;
    if constexpr (gradient) zero_row(z, span, vocabulary);
    return;
  }
  const float at_target = logit_of<capped>(logit, to_float(z[target]));  // before the gradient overwrites it

  SoftMax mine{-INFINITY, 0};
  for (int i = t; i < span.head; i += threads) take<capped>(logit, z[i], mine);
  for (int i = span.tail + t; i < vocabulary; i += threads) take<capped>(logit, z[i], mine);
#pragma unroll 4
  for (int p = t; p < span.packets; p += threads) take<capped>(logit, load<W, Reuse::yes>(packed + p * W), mine);
  const SoftMax total = block_softmax(mine, shared);
  if (t == 0) row_loss[blockIdx.x] = logf(total.sum) + (total.max - at_target);
  if constexpr (gradient) {
    const Gradient slope(total, factor);
    const auto one = [&](int i) { z[i] = from_float<T>(slope.of<capped>(logit, to_float(z[i]), i == target)); };
    for (int i = t; i < span.head; i += threads) one(i);
    for (int i = span.tail + t; i < vocabulary; i += threads) one(i);
#pragma unroll 2
    for (int p = t; p < span.packets; p += threads) {
      const Packet<T, W> in = load<W, Reuse::yes>(packed + p * W);
      store<Reuse::no>(packed + p * W, slope.of<capped>(logit, in, target - span.head - p * W));
    }
  }
}

/// What a thread of the piped kernel needs of a row beside the packets in shared memory: the element before or behind
/// them that falls to it, -1 for none, and the logit of the target.
template <class T>
struct Ends {
  int index;
  T value, at_target;
};

/// Blocks walk over the rows; `stage` holds the packets of two. A thread copies those that it alone reads, so that
/// nobody waits for the copies of others.
template <bool capped, class T>
__global__ void __launch_bounds__(piped_threads, 1)
    loss_piped_kernel(int rows, int vocabulary, T* logits, const std::int32_t* targets, Logit logit, float factor,
                      float* row_loss) {
  constexpr int W = packet_width<T>;
  extern __shared__ uint4 stage[];
  __shared__ SoftMax shared[2][warp_size];
  const int t = static_cast<int>(threadIdx.x), step = static_cast<int>(gridDim.x), most_packets = vocabulary / W;
  const auto target_of = [&](int row) { return row < rows ? targets[row] : -1; };
  const auto fetch = [&](int row, int target, int half) {
    Ends<T> ends{-1, T{}, T{}};
    if (target >= 0) {
      const T* const z = logits + std::int64_t{row} * vocabulary;
      const Span span = span_of(z, vocabulary);
      for (int p = t; p < span.packets; p += piped_threads)
        copy_async(stage + half * most_packets + p, z + span.head + p * W, true);
      const int behind = span.tail + t - warp_size;  // the second warp has the elements behind, less than a packet
      if (t < span.head) ends.index = t;
      if (t >= warp_size && behind < vocabulary) ends.index = behind;
      if (ends.index >= 0) ends.value = z[ends.index];
      ends.at_target = z[target];
    }
    copies_commit();
    return ends;
  };

  int row = static_cast<int>(blockIdx.x), target = target_of(row), after = target_of(row + step), half = 0, turn = 0;
  Ends<T> next = fetch(row, target, half);
  for (; row < rows; row += step) {
    const Ends<T> ends = next;
    const int later = target_of(row + 2 * step);  // two rows ahead: the copies of the next one must not wait for it
    next = fetch(row + step, after, half ^ 1);
    copies_wait<1>();
    T* const z = logits + std::int64_t{row} * vocabulary;
    const Span span = span_of(z, vocabulary);
    if (target < 0) {
      if (t == 0) row_loss[row] = 0;
      zero_row(z, span, vocabulary);
    } else {
      const auto* const packed = reinterpret_cast<const Packet<T, W>*>(stage + half * most_packets);
      SoftMax mine{-INFINITY, 0};
      if (ends.index >= 0) take<capped>(logit, ends.value, mine);
#pragma unroll 2
      for (int p = t; p < span.packets; p += piped_threads) take<capped>(logit, packed[p], mine);
      const SoftMax total = block_softmax(mine, shared[turn]);
      turn ^= 1;  // the other half is free: everybody who read it has passed the barrier since
      if (t == 0) row_loss[row] = logf(total.sum) + (total.max - logit_of<capped>(logit, to_float(ends.at_target)));
      const Gradient slope(total, factor);
      if (ends.index >= 0)
        z[ends.index] = from_float<T>(slope.of<capped>(logit, to_float(ends.value), ends.index == target));
#pragma unroll 2
      for (int p = t; p < span.packets; p += piped_threads)
        store<Reuse::no>(z + span.head + p * W, slope.of<capped>(logit, packed[p], target - span.head - p * W));
    }
    target = after, after = later, half ^= 1;
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
  if constexpr (gradient) {
    const std::int64_t bytes = 2 * (vocabulary / packet_width<T>)*16;
    constexpr std::int64_t fixed = 1024;  // what the kernel has beside it, generously
    int limit = 0, processors = 0, blocks = 0;
    if (const cudaError_t status = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, limit);
        status != cudaSuccess)
      return status;
    if (bytes <= limit - fixed) {
      const auto kernel = softcap > 0 ? loss_piped_kernel<true, T> : loss_piped_kernel<false, T>;
      if (const cudaError_t status = allow_shared(kernel, bytes); status != cudaSuccess) return status;
      // As many blocks as run at once; which rows fall to one does not change their bits.
      if (const cudaError_t status = device_attribute(cudaDevAttrMultiProcessorCount, processors);
          status != cudaSuccess)
        return status;
      if (const cudaError_t status = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, piped_threads,
                                                                                   static_cast<std::size_t>(bytes));
          status != cudaSuccess)
        return status;
      kernel<<<grid_of(std::min<std::int64_t>(rows, std::int64_t{processors} * blocks)), piped_threads,
               static_cast<std::size_t>(bytes), context.stream>>>(static_cast<int>(rows), narrow, logits, targets,
                                                                  logit, f, row_loss);
      return cudaGetLastError();
    }
  }
  const auto kernel = softcap > 0 ? loss_kernel<gradient, true, T> : loss_kernel<gradient, false, T>;
  kernel<<<grid_of(rows), threads, 0, context.stream>>>(narrow, logits, targets, logit, f, row_loss);
  return cudaGetLastError();
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
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
