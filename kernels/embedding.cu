#include "kernels/embedding.hpp"

#include <algorithm>

#include "kernels/instantiate.cuh"
#include "kernels/philox.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int threads = 256;

template <int W, bool drops, class T>
__global__ void __launch_bounds__(threads)
    forward_kernel(std::int64_t elements, EmbeddingShape shape, Dropout dropout, const std::int32_t* tokens,
                   const T* token_table, const T* position_table, T* x) {
  DropoutStream stream;
  if constexpr (drops) stream = block_stream(dropout);
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const std::int64_t row = i / shape.hidden, d = i % shape.hidden;
  const Packet<T, W> token = load<W, Reuse::yes>(token_table + tokens[row] * shape.hidden + d);
  float value[W];
#pragma unroll
  for (int w = 0; w < W; ++w) value[w] = static_cast<float>(shape.scale) * token[w];
  if (position_table != nullptr) {
    const std::int64_t position = shape.first_position + row % shape.sequence;
    const Packet<T, W> at = load<W, Reuse::yes>(position_table + position * shape.hidden + d);
#pragma unroll
    for (int w = 0; w < W; ++w) value[w] += at[w];
  }
  if constexpr (drops) stream.apply(static_cast<std::uint64_t>(i), value);
  Packet<T, W> out;
  out.set(value);
  store(x + i, out);
}

/// A packet of the gradient through the dropout.
template <int W, class T>
__device__ void masked(float (&value)[W], const T* dx, std::int64_t i, bool drops, const DropoutStream& stream) {
  const Packet<T, W> in = load<W>(dx + i);
#pragma unroll
  for (int w = 0; w < W; ++w) value[w] = in[w];
  if (drops) stream.apply(static_cast<std::uint64_t>(i), value);
}

template <int W, class T, class G>
__global__ void __launch_bounds__(threads)
    position_kernel(EmbeddingShape shape, bool drops, Dropout dropout, const T* dx, G* dposition_table) {
  const DropoutStream stream = block_stream(dropout);
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;  // of (S, D)
  const std::int64_t elements = shape.sequence * shape.hidden;
  if (i >= elements) return;
  float sum[W] = {};
#pragma unroll 4
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    float value[W];
    masked(value, dx, b * elements + i, drops, stream);
#pragma unroll
    for (int w = 0; w < W; ++w) sum[w] += value[w];
  }
  G* const to = dposition_table + shape.first_position * shape.hidden + i;
#pragma unroll
  for (int w = 0; w < W; ++w) to[w] = from_float<G>(to_float(to[w]) + sum[w]);
}

// --- rows sorted by token: a radix sort, stable, of `digit_bits` bits at a time -------------------------------------

constexpr int digit_bits = 9, bins = 1 << digit_bits;
constexpr int chunk = 512;  // rows that one warp puts in order

struct Sorting {
  std::int64_t rows, chunks;
  int passes;
  explicit Sorting(const EmbeddingShape& shape)
      : rows(shape.batch * shape.sequence), chunks(ceil_div(rows, chunk)), passes(1) {
    for (std::int64_t reach = bins; reach < shape.vocabulary; reach *= bins) ++passes;
  }
};

/// counts (bins, chunks): how often each digit occurs in each chunk. Integers, so the order of the atomics does not
/// matter. `order` is the row at each place, null for the identity.
__global__ void __launch_bounds__(threads) count_kernel(std::int64_t rows, int shift, const std::int32_t* tokens,
                                                        const std::int32_t* order, std::int32_t* counts) {
  __shared__ std::int32_t count[bins];
  for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += threads) count[bin] = 0;
  __syncthreads();
  const std::int64_t first = std::int64_t{blockIdx.x} * chunk, end = min(first + chunk, rows);
  for (std::int64_t i = first + threadIdx.x; i < end; i += threads) {
    const std::int64_t row = order == nullptr ? i : order[i];
    atomicAdd(&count[tokens[row] >> shift & (bins - 1)], 1);
  }
  __syncthreads();
  for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += threads)
    counts[std::int64_t{bin} * gridDim.x + blockIdx.x] = count[bin];
}

/// counts become the sums of all before them. One block.
constexpr int scan_threads = 1024;
__global__ void __launch_bounds__(scan_threads) scan_kernel(std::int64_t count, std::int32_t* counts) {
  __shared__ std::int32_t shared[scan_threads];
  const int t = static_cast<int>(threadIdx.x);
  const std::int64_t each = ceil_div(count, scan_threads), begin = min(t * each, count), end = min(begin + each, count);
  std::int32_t sum = 0;
  for (std::int64_t i = begin; i < end; ++i) sum += counts[i];
  shared[t] = sum;
  __syncthreads();
  for (int distance = 1; distance < scan_threads; distance *= 2) {
    const std::int32_t before = t >= distance ? shared[t - distance] : 0;
    __syncthreads();
    shared[t] += before;
    __syncthreads();
  }
  std::int32_t running = shared[t] - sum;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int32_t own = counts[i];
    counts[i] = running;
    running += own;
  }
}

/// Puts the rows of a chunk where their digit belongs, in their order: 32 at a time, ranked among equals by lane.
__global__ void __launch_bounds__(warp_size)
    scatter_kernel(std::int64_t rows, int shift, const std::int32_t* tokens, const std::int32_t* order,
                   const std::int32_t* starts, std::int32_t* sorted) {
  __shared__ std::int32_t next[bins];
  const int lane = static_cast<int>(threadIdx.x);
  for (int bin = lane; bin < bins; bin += warp_size) next[bin] = starts[std::int64_t{bin} * gridDim.x + blockIdx.x];
  __syncwarp();
  const std::int64_t first = std::int64_t{blockIdx.x} * chunk, end = min(first + chunk, rows);
  for (std::int64_t i0 = first; i0 < end; i0 += warp_size) {
    const std::int64_t i = i0 + lane;
    const std::int32_t row = i >= end ? 0 : order == nullptr ? static_cast<std::int32_t>(i) : order[i];
    const int digit = i >= end ? bins + lane : tokens[row] >> shift & (bins - 1);  // lanes without a row: all different
    const unsigned equals = __match_any_sync(0xFFFFFFFFU, digit);
    const int rank = __popc(equals & ((1U << lane) - 1));
    if (i < end) sorted[next[digit] + rank] = row;
    __syncwarp();
    if (i < end && rank == 0) next[digit] += __popc(equals);
    __syncwarp();
  }
}

// --- the sums of the rows of each token -----------------------------------------------------------------------------
//
// Sorted places are cut into pieces, some thousand for as many blocks but of 16 rows at least and 64 at most. A token
// whose rows lie in one piece is added to the table at once. One whose rows reach over a border leaves a partial sum in
// each piece: `heads` for a piece that it does not begin in, `tails` for the one that it begins in; whoever owns the
// tail adds the heads that follow, in order.

constexpr int least_piece = 16, most_piece = 64, enough_pieces = 1024;

int piece_of(std::int64_t rows) {
  return static_cast<int>(std::clamp<std::int64_t>(ceil_div(rows, enough_pieces), least_piece, most_piece));
}

template <int W, class G>
__device__ void add_to(G* to, const float (&sum)[W], float factor) {
#pragma unroll
  for (int w = 0; w < W; ++w) to[w] = from_float<G>(to_float(to[w]) + factor * sum[w]);
}

template <int W>
__device__ void put(float* to, const float (&sum)[W]) {
#pragma unroll
  for (int w = 0; w < W; ++w) to[w] = sum[w];
}

template <int W, class T, class G>
__global__ void __launch_bounds__(threads)
    token_kernel(EmbeddingShape shape, std::int64_t rows, int piece, bool drops, Dropout dropout,
                 const std::int32_t* tokens, const std::int32_t* sorted, const T* dx, float* heads, float* tails,
                 G* dtoken_table) {
  __shared__ std::int32_t row_of[most_piece], token_of[most_piece + 2];
  const DropoutStream stream = block_stream(dropout);
  const std::int64_t first = std::int64_t{blockIdx.x} * piece, end = min(first + piece, rows);
  const int count = static_cast<int>(end - first);
  // token_of[1 + i] is the token at place i of the piece; before and behind it those of the neighbours, or -1.
  for (int i = static_cast<int>(threadIdx.x); i < count + 2; i += threads) {
    const std::int64_t place = first + i - 1;
    const bool exists = place >= 0 && place < rows;
    const std::int32_t row = exists ? sorted[place] : 0;
    token_of[i] = exists ? tokens[row] : -1;
    if (i >= 1 && i <= count) row_of[i - 1] = row;
  }
  __syncthreads();
  const std::int64_t d = (std::int64_t{blockIdx.y} * threads + threadIdx.x) * W;
  if (d >= shape.hidden) return;
  const auto factor = static_cast<float>(shape.scale);
  float sum[W] = {};
  bool whole = token_of[0] != token_of[1];  // whether the run began in this piece
#pragma unroll 4
  for (int i = 0; i < count; ++i) {
    float value[W];
    masked(value, dx, row_of[i] * shape.hidden + d, drops, stream);
#pragma unroll
    for (int w = 0; w < W; ++w) sum[w] += value[w];
    const bool ends = token_of[i + 1] != token_of[i + 2];
    if (!ends && i + 1 < count) continue;
    if (!whole) {
      put(heads + std::int64_t{blockIdx.x} * shape.hidden + d, sum);
    } else if (!ends) {
      put(tails + std::int64_t{blockIdx.x} * shape.hidden + d, sum);
    } else {
      add_to(dtoken_table + token_of[i + 1] * shape.hidden + d, sum, factor);
    }
    whole = true;
#pragma unroll
    for (int w = 0; w < W; ++w) sum[w] = 0;
  }
}

template <class G>
__global__ void __launch_bounds__(threads)
    token_border_kernel(EmbeddingShape shape, std::int64_t rows, int piece, const std::int32_t* tokens,
                        const std::int32_t* sorted, const float* heads, const float* tails, G* dtoken_table) {
  const std::int64_t end = (std::int64_t{blockIdx.x} + 1) * piece;  // of the piece that may own a tail
  const std::int64_t d = std::int64_t{blockIdx.y} * threads + threadIdx.x;
  if (end >= rows || d >= shape.hidden) return;
  const std::int32_t token = tokens[sorted[end - 1]];
  const auto is_token = [&](std::int64_t place) { return place < rows && tokens[sorted[place]] == token; };
  if (!is_token(end)) return;                            // nothing crosses this border
  if (end > piece && is_token(end - piece - 1)) return;  // the run began further back: another block's
  float sum = tails[std::int64_t{blockIdx.x} * shape.hidden + d];
  for (std::int64_t p = blockIdx.x + std::int64_t{1}; is_token(p * piece); ++p) sum += heads[p * shape.hidden + d];
  G* const to = dtoken_table + token * shape.hidden + d;
  *to = from_float<G>(to_float(*to) + static_cast<float>(shape.scale) * sum);
}

std::int64_t aligned_bytes(std::int64_t bytes) { return ceil_div(bytes, 256) * 256; }

}  // namespace

template <class T>
cudaError_t embedding_forward(const Context& context, const EmbeddingShape& shape, const std::int32_t* tokens,
                              const T* token_table, const T* position_table, T* x) {
  const std::int64_t elements = shape.batch * shape.sequence * shape.hidden;
  if (elements == 0) return cudaSuccess;
  const Dropout dropout = make_dropout(shape.dropout, shape.key);
  const bool packets = shape.hidden % packet_width<T> == 0 && aligned(token_table, position_table, x);
  return with_width<T>(packets, [&](auto width) {
    constexpr int W = decltype(width)::value;
    const auto kernel = shape.dropout > 0 ? forward_kernel<W, true, T> : forward_kernel<W, false, T>;
    kernel<<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(elements, shape, dropout, tokens,
                                                                                     token_table, position_table, x);
    return cudaGetLastError();
  });
}

std::int64_t embedding_backward_workspace_bytes(const EmbeddingShape& shape) {
  const Sorting s(shape);
  return aligned_bytes(s.chunks * bins * 4) + 2 * aligned_bytes(s.rows * 4) +
         2 * ceil_div(s.rows, piece_of(s.rows)) * shape.hidden * 4;
}

template <class T, class G>
cudaError_t embedding_backward(const Context& context, const EmbeddingShape& shape, const std::int32_t* tokens,
                               const T* dx, G* dtoken_table, G* dposition_table) {
  if (shape.batch * shape.sequence * shape.hidden == 0) return cudaSuccess;
  const Dropout dropout = make_dropout(shape.dropout, shape.key);
  const bool drops = shape.dropout > 0;
  const bool packets = shape.hidden % packet_width<T> == 0 && aligned(dx);
  if (dposition_table != nullptr) {
    const cudaError_t status = with_width<T>(packets, [&](auto width) {
      constexpr int W = decltype(width)::value;
      position_kernel<W><<<grid_of(ceil_div(shape.sequence * shape.hidden, threads * W)), threads, 0, context.stream>>>(
          shape, drops, dropout, dx, dposition_table);
      return cudaGetLastError();
    });
    if (status != cudaSuccess) return status;
  }
  if (dtoken_table == nullptr) return cudaSuccess;
  if (context.workspace_bytes < embedding_backward_workspace_bytes(shape)) return cudaErrorInvalidValue;

  const Sorting s(shape);
  auto* next = static_cast<unsigned char*>(context.workspace);
  const auto take = [&](std::int64_t bytes) {
    auto* const at = next;
    next += aligned_bytes(bytes);
    return at;
  };
  auto* const counts = reinterpret_cast<std::int32_t*>(take(s.chunks * bins * 4));
  auto* sorted = reinterpret_cast<std::int32_t*>(take(s.rows * 4));
  auto* other = reinterpret_cast<std::int32_t*>(take(s.rows * 4));
  const int piece = piece_of(s.rows);
  const std::int64_t pieces = ceil_div(s.rows, piece);
  auto* const heads = reinterpret_cast<float*>(next);
  float* const tails = heads + pieces * shape.hidden;

  const auto chunks = static_cast<unsigned>(s.chunks);
  for (int pass = 0; pass < s.passes; ++pass) {
    const std::int32_t* const order = pass == 0 ? nullptr : sorted;
    count_kernel<<<chunks, threads, 0, context.stream>>>(s.rows, pass * digit_bits, tokens, order, counts);
    scan_kernel<<<1, scan_threads, 0, context.stream>>>(s.chunks * bins, counts);
    scatter_kernel<<<chunks, warp_size, 0, context.stream>>>(s.rows, pass * digit_bits, tokens, order, counts, other);
    std::swap(sorted, other);
  }
  cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  status = with_width<T>(packets, [&](auto width) {
    constexpr int W = decltype(width)::value;
    const dim3 grid(static_cast<unsigned>(pieces), static_cast<unsigned>(ceil_div(shape.hidden, threads * W)));
    token_kernel<W><<<grid, threads, 0, context.stream>>>(shape, s.rows, piece, drops, dropout, tokens, sorted, dx,
                                                          heads, tails, dtoken_table);
    return cudaGetLastError();
  });
  if (status != cudaSuccess || pieces == 1) return status;
  const dim3 grid(static_cast<unsigned>(pieces - 1), static_cast<unsigned>(ceil_div(shape.hidden, threads)));
  token_border_kernel<<<grid, threads, 0, context.stream>>>(shape, s.rows, piece, tokens, sorted, heads, tails,
                                                            dtoken_table);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                     \
  template cudaError_t embedding_forward<T>(const Context&, const EmbeddingShape&, const std::int32_t*, const T*, \
                                            const T*, T*);                                                        \
  template cudaError_t embedding_backward<T, float>(const Context&, const EmbeddingShape&, const std::int32_t*,   \
                                                    const T*, float*, float*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE
template cudaError_t embedding_backward<bf16, bf16>(const Context&, const EmbeddingShape&, const std::int32_t*,
                                                    const bf16*, bf16*, bf16*);
template cudaError_t embedding_backward<fp16, fp16>(const Context&, const EmbeddingShape&, const std::int32_t*,
                                                    const fp16*, fp16*, fp16*);

}  // namespace dtcalc::cuda
