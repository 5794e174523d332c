#include "kernels/elementwise.hpp"

#include "kernels/philox.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int threads = 256;

/// out packet = f(first element's index, inputs' packets as floats); one packet a thread.
template <int W, class T, class F>
__global__ void map_kernel(std::int64_t elements, const T* a, T* out, F f) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> in = load<W>(a + i);
  Packet<T, W> result;
#pragma unroll
  for (int w = 0; w < W; ++w) result.set(w, f(in[w], i + w));
  store(out + i, result);
}

template <int W, class T>
__global__ void add_kernel(std::int64_t elements, T* out, const T* a, const T* b) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> left = load<W>(a + i), right = load<W>(b + i);
  Packet<T, W> result;
#pragma unroll
  for (int w = 0; w < W; ++w) result.set(w, left[w] + right[w]);
  store(out + i, result);
}

/// y = dropout(x + bias): bias null or not, dropped or not.
template <int W, bool drops, class T>
__global__ void bias_dropout_kernel(std::int64_t elements, std::int64_t columns, const T* x, T* y, const T* bias,
                                    Dropout dropout) {
  DropoutStream stream;
  if constexpr (drops) stream = block_stream(dropout);
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> in = load<W>(x + i);
  float value[W];
#pragma unroll
  for (int w = 0; w < W; ++w) value[w] = in[w];
  if (bias != nullptr) {
    const Packet<T, W> change = load<W, Reuse::yes>(bias + i % columns);
#pragma unroll
    for (int w = 0; w < W; ++w) value[w] += change[w];
  }
  if constexpr (drops) stream.apply(static_cast<std::uint64_t>(i), value);
  Packet<T, W> result;
  result.set(value);
  store(y + i, result);
}

template <class From, class To>
__global__ void cast_kernel(std::int64_t elements, const From* from, To* to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i < elements) to[i] = from_float<To>(to_float(from[i]));
}

/// Eight elements a thread: one or two packets on either side.
template <class From, class To>
__global__ void cast_packets_kernel(std::int64_t elements, const From* from, To* to) {
  constexpr int width = 8;
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * width;
  if (i >= elements) return;
  float value[width];
#pragma unroll
  for (int part = 0; part < width; part += packet_width<From>) {
    const auto in = load<packet_width<From>>(from + i + part);
#pragma unroll
    for (int w = 0; w < packet_width<From>; ++w) value[part + w] = in[w];
  }
#pragma unroll
  for (int part = 0; part < width; part += packet_width<To>) {
    Packet<To, packet_width<To>> out;
#pragma unroll
    for (int w = 0; w < packet_width<To>; ++w) out.set(w, value[part + w]);
    store(to + i + part, out);
  }
}

// The bias gradient: a block sums a strip of columns over a slice of the rows, each of its warps every eighth row; the
// warps are joined in their order, the slices by join_partials.
constexpr int slice_warps = 8;
constexpr std::int64_t least_slice = 32, most_slices = 128;

std::int64_t slices_of(std::int64_t rows) {
  const std::int64_t slices = ceil_div(rows, least_slice);
  return slices < most_slices ? slices : most_slices;
}

template <int W, class T>
__global__ void column_sums_kernel(std::int64_t rows, std::int64_t columns, const T* dy, float* partials) {
  __shared__ float shared[slice_warps][warp_size * W];
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  const std::int64_t first = std::int64_t{blockIdx.x} * (warp_size * W), column = first + lane * W;
  const std::int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sum[W] = {};
  if (column < columns) {
#pragma unroll 4
    for (std::int64_t row = begin + warp; row < end; row += slice_warps) {
      const Packet<T, W> in = load<W>(dy + row * columns + column);
#pragma unroll
      for (int w = 0; w < W; ++w) sum[w] += in[w];
    }
  }
#pragma unroll
  for (int w = 0; w < W; ++w) shared[warp][w * warp_size + lane] = sum[w];  // neighbouring lanes in different banks
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < warp_size * W; i += slice_warps * warp_size) {
    const std::int64_t c = first + i % warp_size * W + i / warp_size;
    if (c >= columns) continue;
    float total = 0;
#pragma unroll
    for (int other = 0; other < slice_warps; ++other) total += shared[other][i];
    partials[blockIdx.y * columns + c] = total;
  }
}

template <class T, class F>
cudaError_t map(const Context& context, std::int64_t elements, const T* a, T* out, F f) {
  if (elements == 0) return cudaSuccess;
  return with_width<T>(elements % packet_width<T> == 0 && aligned(a, out), [&](auto width) {
    constexpr int W = decltype(width)::value;
    map_kernel<W><<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(elements, a, out, f);
    return cudaGetLastError();
  });
}

struct Scale {
  float factor;
  __device__ float operator()(float x, std::int64_t) const { return factor * x; }
};

}  // namespace

template <class T>
cudaError_t bias_dropout_forward(const Context& context, std::int64_t rows, std::int64_t columns, const T* x, T* y,
                                 const T* bias, double p, const DropoutKey& key) {
  const std::int64_t elements = rows * columns;
  if (elements == 0) return cudaSuccess;
  if (bias == nullptr && p == 0) {
    if (x == y) return cudaSuccess;
    return cudaMemcpyAsync(y, x, static_cast<std::size_t>(elements) * sizeof(T), cudaMemcpyDeviceToDevice,
                           context.stream);
  }
  // Without a bias the rows do not matter.
  const bool packets = (bias == nullptr ? elements : columns) % packet_width<T> == 0 && aligned(x, y, bias);
  return with_width<T>(packets, [&](auto width) {
    constexpr int W = decltype(width)::value;
    const dim3 grid = grid_of(ceil_div(elements, threads * W));
    const Dropout dropout = make_dropout(p, key);
    if (p > 0) {
      bias_dropout_kernel<W, true><<<grid, threads, 0, context.stream>>>(elements, columns, x, y, bias, dropout);
    } else {
      bias_dropout_kernel<W, false><<<grid, threads, 0, context.stream>>>(elements, columns, x, y, bias, dropout);
    }
    return cudaGetLastError();
  });
}

template <class T>
cudaError_t dropout_backward(const Context& context, std::int64_t elements, const T* dy, T* dx, double p,
                             const DropoutKey& key) {
  return bias_dropout_forward<T>(context, 1, elements, dy, dx, nullptr, p, key);
}

std::int64_t bias_gradient_workspace_bytes(std::int64_t rows, std::int64_t columns) {
  return slices_of(rows) * columns * static_cast<std::int64_t>(sizeof(float));
}

template <class T, class G>
cudaError_t bias_gradient(const Context& context, std::int64_t rows, std::int64_t columns, const T* dy, G* dbias) {
  if (rows == 0 || columns == 0) return cudaSuccess;
  if (context.workspace_bytes < bias_gradient_workspace_bytes(rows, columns)) return cudaErrorInvalidValue;
  const auto partials = static_cast<float*>(context.workspace);
  const std::int64_t slices = slices_of(rows);
  const cudaError_t status = with_width<T>(columns % packet_width<T> == 0 && aligned(dy), [&](auto width) {
    constexpr int W = decltype(width)::value;
    const dim3 grid(static_cast<unsigned>(ceil_div(columns, warp_size * W)), static_cast<unsigned>(slices));
    column_sums_kernel<W><<<grid, slice_warps * warp_size, 0, context.stream>>>(rows, columns, dy, partials);
    return cudaGetLastError();
  });
  if (status != cudaSuccess) return status;
  return join_partials(context, slices, columns, partials, dbias);
}

template <class T>
cudaError_t add(const Context& context, std::int64_t elements, T* out, const T* a, const T* b) {
  if (elements == 0) return cudaSuccess;
  return with_width<T>(elements % packet_width<T> == 0 && aligned(out, a, b), [&](auto width) {
    constexpr int W = decltype(width)::value;
    add_kernel<W><<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(elements, out, a, b);
    return cudaGetLastError();
  });
}

template <class T>
cudaError_t scale(const Context& context, std::int64_t elements, T* x, double factor) {
  return map(context, elements, x, x, Scale{static_cast<float>(factor)});
}

template <class From, class To>
cudaError_t cast(const Context& context, std::int64_t elements, const From* from, To* to) {
  if (elements == 0) return cudaSuccess;
  if (elements % 8 == 0 && aligned(from, to)) {
    cast_packets_kernel<<<grid_of(ceil_div(elements, 8 * threads)), threads, 0, context.stream>>>(elements, from, to);
  } else {
    cast_kernel<<<grid_of(ceil_div(elements, threads)), threads, 0, context.stream>>>(elements, from, to);
  }
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                      \
  template cudaError_t bias_dropout_forward<T>(const Context&, std::int64_t, std::int64_t, const T*, T*, const T*, \
                                               double, const DropoutKey&);                                         \
  template cudaError_t dropout_backward<T>(const Context&, std::int64_t, const T*, T*, double, const DropoutKey&); \
  template cudaError_t bias_gradient<T, float>(const Context&, std::int64_t, std::int64_t, const T*, float*);      \
  template cudaError_t add<T>(const Context&, std::int64_t, T*, const T*, const T*);                               \
  template cudaError_t scale<T>(const Context&, std::int64_t, T*, double);                                         \
  template cudaError_t cast<T, float>(const Context&, std::int64_t, const T*, float*);                             \
  template cudaError_t cast<T, bf16>(const Context&, std::int64_t, const T*, bf16*);                               \
  template cudaError_t cast<T, fp16>(const Context&, std::int64_t, const T*, fp16*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE
template cudaError_t bias_gradient<bf16, bf16>(const Context&, std::int64_t, std::int64_t, const bf16*, bf16*);
template cudaError_t bias_gradient<fp16, fp16>(const Context&, std::int64_t, std::int64_t, const fp16*, fp16*);

}  // namespace dtcalc::cuda
