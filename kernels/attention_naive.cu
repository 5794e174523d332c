#include "kernels/attention_naive.hpp"

#include "kernels/attention_score.cuh"
#include "kernels/instantiate.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

// A warp per row, or a block, holds it in registers; each element is read once, none that the query does not see. Rows
// that are longer, or not made of whole packets, take the plain path: a block per row, which reads it from the cache
// again for every pass. In place is fine: the last pass reads and writes each element in one thread.
constexpr int block_threads = 256;
constexpr int row_packets = 4;                                 // of a thread
constexpr int block_rows = 4, warp_threads = block_rows * 32;  // rows and threads of a block when each row has a warp

/// Row, query and head.
struct RowAt {
  std::int64_t row;
  int query, head;
  __device__ RowAt(const Attention& a, std::int64_t at)
      : row(at), query(static_cast<int>(row % a.queries)), head(static_cast<int>(row / a.queries % a.heads)) {}
};

/// The packets of a row that fall to a thread, and the keys that its query sees.
struct RowSpan {
  int begin, end, step;
  __device__ RowSpan(const Attention& a, int query)
      : begin(a.first_key(query)), end(a.end_key(query)), step(static_cast<int>(blockDim.x)) {}
  template <int W>
  __device__ int first_key(int n) const {
    return (static_cast<int>(threadIdx.x) + n * step) * W;
  }
  __device__ bool sees(int key) const { return key >= begin && key < end; }
  template <int W>
  __device__ bool sees_some(int first) const {
    return first < end && first + W > begin;
  }
};

template <class Join>
__device__ float block_join(float value, float start, float* shared, Join join) {
  value = warp_join(value, join);
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  if (warps == 1) return value;
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  return warp_join(lane < warps ? shared[lane] : start, join);
}

/// `special`: a logit is more than scale times the score, or a probability may be dropped.
template <int threads, bool special, class T>
__global__ void __launch_bounds__(threads)
    softmax_kernel(const Attention a, std::int64_t rows, const T* scores, T* probabilities, T* dropped) {
  constexpr int W = packet_width<T>, N = row_packets;
  __shared__ float shared[2][warp_size];
  DropoutStream stream;
  if (special && a.drops) stream = block_stream(a.dropout);
  const RowAt at(a, std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (at.row >= rows) return;  // blockDim.y is 1 unless a warp has its own row and meets nobody at a barrier
  const RowSpan span(a, at.query);
  const ScoreFunction f(a, at.head);
  const std::int64_t start = at.row * a.keys;
  Packet<T, W> in[N] = {};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int first = span.first_key<W>(n);
    if (span.sees_some<W>(first)) in[n] = load<W>(scores + start + first);
  }
  float value[N][W], most = -INFINITY;
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const int key = span.first_key<W>(n) + w;
      const float z = special ? f.logit(in[n][w], at.query, key) : f.scale * in[n][w];
      value[n][w] = span.sees(key) ? z : -INFINITY;
      most = fmaxf(most, value[n][w]);
    }
  }
  most = block_join(most, -INFINITY, shared[0], [](float x, float y) { return fmaxf(x, y); });
  const float shift = most == -INFINITY ? 0.0F : most * log2_e;
  float sum = 0;
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int w = 0; w < W; ++w) {
      value[n][w] = fast_exp2(value[n][w] * log2_e - shift);
      sum += value[n][w];
    }
  }
  sum = block_join(sum, 0.0F, shared[1], [](float x, float y) { return x + y; });
  const float inverse = sum > 0 ? 1.0F / sum : 0.0F;
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int first = span.first_key<W>(n);
    if (first >= a.keys) continue;
#pragma unroll
    for (int w = 0; w < W; ++w) value[n][w] *= inverse;
    Packet<T, W> out;
    out.set(value[n]);
    store(probabilities + start + first, out);
    if (special && a.drops) {
      out.get(value[n]);
      stream.apply(static_cast<std::uint64_t>(start + first), value[n]);
      out.set(value[n]);
      store(dropped + start + first, out);
    }
  }
}

template <int threads, bool special, class T>
__global__ void __launch_bounds__(threads)
    softmax_backward_kernel(const Attention a, std::int64_t rows, const T* probabilities, const T* scores,
                            const T* gradient, T* dscores) {
  constexpr int W = packet_width<T>, N = row_packets;
  __shared__ float shared[warp_size];
  DropoutStream stream;
  if (special && a.drops) stream = block_stream(a.dropout);
  const RowAt at(a, std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (at.row >= rows) return;
  const RowSpan span(a, at.query);
  const ScoreFunction f(a, at.head);
  const std::int64_t start = at.row * a.keys;
  Packet<T, W> p[N] = {}, above[N] = {};
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int first = span.first_key<W>(n);
    if (!span.sees_some<W>(first)) continue;
    p[n] = load<W>(probabilities + start + first);
    above[n] = load<W>(gradient + start + first);
  }
  float g[N][W], along = 0;
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int first = span.first_key<W>(n);
    above[n].get(g[n]);
    if (special && a.drops && span.sees_some<W>(first)) stream.apply(static_cast<std::uint64_t>(start + first), g[n]);
#pragma unroll
    for (int w = 0; w < W; ++w) along += span.sees(first + w) ? p[n][w] * g[n][w] : 0.0F;
  }
  along = block_join(along, 0.0F, shared, [](float x, float y) { return x + y; });
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int first = span.first_key<W>(n);
    if (first >= a.keys) continue;
    Packet<T, W> raw = {};
    if (special && f.softcap > 0 && span.sees_some<W>(first)) raw = load<W>(scores + start + first);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const float derivative = special ? f.derivative(raw[w]) : f.scale;
      g[n][w] = span.sees(first + w) ? p[n][w] * (g[n][w] - along) * derivative : 0.0F;
    }
    Packet<T, W> out;
    out.set(g[n]);
    store(dscores + start + first, out);
  }
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    softmax_plain_kernel(const Attention a, const T* scores, T* probabilities, T* dropped) {
  __shared__ float shared[2][warp_size];
  const RowAt at(a, blockIdx.x);
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
    softmax_backward_plain_kernel(const Attention a, const T* probabilities, const T* scores, const T* gradient,
                                  T* dscores) {
  __shared__ float shared[warp_size];
  const RowAt at(a, blockIdx.x);
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

/// Calls body(threads of a block, block) for rows that registers hold: a warp's or a block's.
template <class T, class Body>
cudaError_t with_block(const AttentionShape& shape, Body body) {
  if (shape.keys <= std::int64_t{warp_size} * row_packets * packet_width<T>)
    return body(std::integral_constant<int, warp_threads>{}, dim3(warp_size, block_rows));
  return body(std::integral_constant<int, block_threads>{}, dim3(block_threads));
}

template <class T, class... Pointers>
bool in_registers(const AttentionShape& shape, Pointers... pointers) {
  constexpr int width = packet_width<T>;
  return shape.keys % width == 0 && shape.keys <= block_threads * row_packets * width && aligned(pointers...);
}

bool is_special(const AttentionOptions& o) { return o.softcap > 0 || o.alibi_slopes != nullptr || o.dropout > 0; }

}  // namespace

template <class T>
cudaError_t attention_softmax_forward(const Context& context, const AttentionShape& shape,
                                      const AttentionOptions& options, const T* scores, T* probabilities, T* dropped) {
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  if (rows == 0) return cudaSuccess;
  const Attention a = make_attention(shape, options);
  if (!in_registers<T>(shape, scores, probabilities, dropped)) {
    softmax_plain_kernel<<<grid_of(rows), block_threads, 0, context.stream>>>(a, scores, probabilities, dropped);
    return cudaGetLastError();
  }
  return with_block<T>(shape, [&](auto size, dim3 block) {
    constexpr int threads = decltype(size)::value;
    const auto kernel = is_special(options) ? softmax_kernel<threads, true, T> : softmax_kernel<threads, false, T>;
    kernel<<<grid_of(ceil_div(rows, block.y)), block, 0, context.stream>>>(a, rows, scores, probabilities, dropped);
    return cudaGetLastError();
  });
}

template <class T>
cudaError_t attention_softmax_backward(const Context& context, const AttentionShape& shape,
                                       const AttentionOptions& options, const T* probabilities, const T* scores,
                                       const T* gradient, T* dscores) {
  if (options.softcap > 0 && scores == nullptr) return cudaErrorInvalidValue;
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  if (rows == 0) return cudaSuccess;
  const Attention a = make_attention(shape, options);
  if (!in_registers<T>(shape, probabilities, scores, gradient, dscores)) {
    softmax_backward_plain_kernel<<<grid_of(rows), block_threads, 0, context.stream>>>(a, probabilities, scores,
                                                                                       gradient, dscores);
    return cudaGetLastError();
  }
  return with_block<T>(shape, [&](auto size, dim3 block) {
    constexpr int threads = decltype(size)::value;
    const auto kernel =
        is_special(options) ? softmax_backward_kernel<threads, true, T> : softmax_backward_kernel<threads, false, T>;
    kernel<<<grid_of(ceil_div(rows, block.y)), block, 0, context.stream>>>(a, rows, probabilities, scores, gradient,
                                                                           dscores);
    return cudaGetLastError();
  });
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template cudaError_t attention_softmax_forward<T>(const Context&, const AttentionShape&, const AttentionOptions&,  \
                                                    const T*, T*, T*);                                               \
  template cudaError_t attention_softmax_backward<T>(const Context&, const AttentionShape&, const AttentionOptions&, \
                                                     const T*, const T*, const T*, T*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
