#include "kernels/attention_naive.hpp"

#include "kernels/attention_score.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

// A block per row. Logits are made three times from the scores rather than kept: the row comes from the cache. In place
// is fine: the last pass reads and writes each element in one thread.
constexpr int block_threads = 256;

/// Row, query and head of the block.
struct RowAt {
  std::int64_t row;
  int query, head;
  __device__ explicit RowAt(const Attention& a)
      : row(blockIdx.x), query(static_cast<int>(row % a.queries)), head(static_cast<int>(row / a.queries % a.heads)) {}
};

template <class Join>
__device__ float block_join(float value, float start, float* shared, Join join) {
  value = warp_join(value, join);
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  return warp_join(lane < warps ? shared[lane] : start, join);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    softmax_kernel(const Attention a, const T* scores, T* probabilities, T* dropped) {
  __shared__ float shared[2][warp_size];
  const RowAt at(a);
  const int begin = a.first_key(at.query), end = a.end_key(at.query), t = static_cast<int>(threadIdx.x);
  const std::int64_t start = at.row * a.keys;
  const ScoreFunction f(a, at.head);
  const auto logit = [&](int key) { return f.logit(to_float(scores[start + key]), at.query, key); };
  float most = -INFINITY, sum = 0;
  for (int key = begin + t; key < end; key += block_threads) most = fmaxf(most, logit(key));
  most = block_join(most, -INFINITY, shared[0], [](float x, float y) { return fmaxf(x, y); });
  for (int key = begin + t; key < end; key += block_threads) sum += expf(logit(key) - most);
  sum = block_join(sum, 0.0F, shared[1], [](float x, float y) { return x + y; });
  const float inverse = begin < end ? 1.0F / sum : 0.0F;
  DropoutStream stream;
  if (a.drops) stream = block_stream(a.dropout);
  for (int key = t; key < a.keys; key += block_threads) {
    const float p = key >= begin && key < end ? expf(logit(key) - most) * inverse : 0.0F;
    const T rounded = from_float<T>(p);
    probabilities[start + key] = rounded;
    if (a.drops)
      dropped[start + key] =
          from_float<T>(to_float(rounded) * stream.factor_of(static_cast<std::uint64_t>(start + key)));
  }
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    softmax_backward_kernel(const Attention a, const T* probabilities, const T* scores, const T* gradient, T* dscores) {
  __shared__ float shared[warp_size];
  const RowAt at(a);
  const int begin = a.first_key(at.query), end = a.end_key(at.query), t = static_cast<int>(threadIdx.x);
  const std::int64_t start = at.row * a.keys;
  const ScoreFunction f(a, at.head);
  DropoutStream stream;
  if (a.drops) stream = block_stream(a.dropout);
  const auto above = [&](int key) {
    const float g = to_float(gradient[start + key]);
    return a.drops ? g * stream.factor_of(static_cast<std::uint64_t>(start + key)) : g;
  };
  float along = 0;
  for (int key = begin + t; key < end; key += block_threads) along += to_float(probabilities[start + key]) * above(key);
  along = block_join(along, 0.0F, shared, [](float x, float y) { return x + y; });
  for (int key = t; key < a.keys; key += block_threads) {
    float value = 0;
    if (key >= begin && key < end) {
      const float derivative = f.softcap > 0 ? f.derivative(to_float(scores[start + key])) : f.scale;
      value = to_float(probabilities[start + key]) * (above(key) - along) * derivative;
    }
    dscores[start + key] = from_float<T>(value);
  }
}

}  // namespace

template <class T>
cudaError_t attention_softmax_forward(const Context& context, const AttentionShape& shape,
                                      const AttentionOptions& options, const T* scores, T* probabilities, T* dropped) {
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  if (rows == 0) return cudaSuccess;
  softmax_kernel<<<grid_of(rows), block_threads, 0, context.stream>>>(make_attention(shape, options), scores,
                                                                      probabilities, dropped);
  return cudaGetLastError();
}

template <class T>
cudaError_t attention_softmax_backward(const Context& context, const AttentionShape& shape,
                                       const AttentionOptions& options, const T* probabilities, const T* scores,
                                       const T* gradient, T* dscores) {
  if (options.softcap > 0 && scores == nullptr) return cudaErrorInvalidValue;
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  if (rows == 0) return cudaSuccess;
  softmax_backward_kernel<<<grid_of(rows), block_threads, 0, context.stream>>>(
      make_attention(shape, options), probabilities, scores, gradient, dscores);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template cudaError_t attention_softmax_forward<T>(const Context&, const AttentionShape&, const AttentionOptions&,  \
                                                    const T*, T*, T*);                                               \
  template cudaError_t attention_softmax_backward<T>(const Context&, const AttentionShape&, const AttentionOptions&, \
                                                     const T*, const T*, const T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
