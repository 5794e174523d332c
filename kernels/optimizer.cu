#include "kernels/optimizer.hpp"

#include <cmath>

#include "kernels/philox.cuh"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int threads = 256;
constexpr int width = 4;                        // elements a thread takes at a time: a packet of floats
constexpr std::int64_t most_blocks = 132 * 16;  // each goes over several packets, so that the scalars cost little

/// The scalars of an update, computed once per block in double: host values, or those of the state in device memory.
struct Rates {
  float decay, rate, root_correction, factor;
  std::uint32_t step;
  bool skip;
};

__device__ Rates adamw_rates(const AdamW& o) {
  const StepState* const state = o.state;
  const double rate = state != nullptr ? state->learning_rate : o.learning_rate;
  const double step = state != nullptr ? static_cast<double>(state->step) : static_cast<double>(o.step);
  const double factor = state != nullptr ? state->gradient_factor : o.gradient_factor;
  return {static_cast<float>(1 - rate * o.weight_decay),
          static_cast<float>(rate / (1 - pow(o.beta1, step))),
          static_cast<float>(1 / sqrt(1 - pow(o.beta2, step))),
          static_cast<float>(factor),
          static_cast<std::uint32_t>(step),
          state != nullptr && state->skip != 0};
}

__device__ Rates sgd_rates(const Sgd& o) {
  const StepState* const state = o.state;
  const double rate = state != nullptr ? state->learning_rate : o.learning_rate;
  const double factor = state != nullptr ? state->gradient_factor : o.gradient_factor;
  return {static_cast<float>(1 - rate * o.weight_decay), static_cast<float>(rate), 1, static_cast<float>(factor), 0,
          state != nullptr && state->skip != 0};
}

/// Reads and writes up to four neighbours, whole where W is 4.
template <int W, class T>
__device__ void read(float (&to)[W], const T* from) {
  if constexpr (W * sizeof(T) == 16) {
    const Packet<T, W> packet = load<W>(from);
#pragma unroll
    for (int w = 0; w < W; ++w) to[w] = packet[w];
  } else {
    const Packet<T, W> packet = *reinterpret_cast<const Packet<T, W>*>(from);
#pragma unroll
    for (int w = 0; w < W; ++w) to[w] = packet[w];
  }
}
template <int W, class T>
__device__ void write(T* to, const float (&from)[W]) {
  Packet<T, W> packet;
#pragma unroll
  for (int w = 0; w < W; ++w) packet.set(w, from[w]);
  store<Reuse::no>(to, packet);
}

/// Calls body(first element, std::integral_constant of how many) over all elements: packets where the pointers are
/// aligned, single elements behind the last packet and everywhere otherwise.
template <class Body>
__device__ void for_elements(std::int64_t elements, bool packets, Body body) {
  const std::int64_t step = std::int64_t{gridDim.x} * threads, me = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  const std::int64_t whole = packets ? elements / width : 0;
  for (std::int64_t p = me; p < whole; p += step) body(p * width, std::integral_constant<int, width>{});
  for (std::int64_t i = whole * width + me; i < elements; i += step) body(i, std::integral_constant<int, 1>{});
}

struct Moments {
  float beta1, rest1, beta2, rest2, epsilon;
  explicit Moments(const AdamW& o)
      : beta1(static_cast<float>(o.beta1)),
        rest1(static_cast<float>(1 - o.beta1)),
        beta2(static_cast<float>(o.beta2)),
        rest2(static_cast<float>(1 - o.beta2)),
        epsilon(static_cast<float>(o.epsilon)) {}

  /// The new parameter; m and v in place.
  __device__ float update(const Rates& r, float parameter, float gradient, float& m, float& v) const {
    const float g = gradient * r.factor;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    return r.decay * parameter - r.rate * m / (sqrtf(v) * r.root_correction + epsilon);
  }
};

template <class T, class G>
__global__ void __launch_bounds__(threads)
    adamw_kernel(AdamW options, Moments moments, std::int64_t elements, bool packets, float* master, const G* gradient,
                 float* first, float* second, T* weights) {
  __shared__ Rates rates;
  if (threadIdx.x == 0) rates = adamw_rates(options);
  __syncthreads();
  const Rates r = rates;
  if (r.skip) return;
  for_elements(elements, packets, [&](std::int64_t i, auto count) {
    constexpr int W = decltype(count)::value;
    float p[W], g[W], m[W], v[W];
    read(p, master + i);
    read(g, gradient + i);
    read(m, first + i);
    read(v, second + i);
#pragma unroll
    for (int w = 0; w < W; ++w) p[w] = moments.update(r, p[w], g[w], m[w], v[w]);
    write(master + i, p);
    write(first + i, m);
    write(second + i, v);
    if (weights != nullptr) write(weights + i, p);
  });
}

/// bf16 is the upper half of a float: adding 16 random bits below it and cutting rounds up with the probability of the
/// distance to the lower neighbour, for either sign. What is not finite stays as it is.
__device__ bf16 round_stochastically(float x, std::uint32_t random) {
  const std::uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7F800000U) == 0x7F800000U) return __float2bfloat16_rn(x);
  return __ushort_as_bfloat16(static_cast<unsigned short>((bits + (random & 0xFFFFU)) >> 16));
}

template <class G>
__global__ void __launch_bounds__(threads)
    adamw_stochastic_kernel(AdamW options, Moments moments, RoundingKey key, std::int64_t elements, bool packets,
                            bf16* weights, const G* gradient, float* first, float* second) {
  __shared__ Rates rates;
  if (threadIdx.x == 0) rates = adamw_rates(options);
  __syncthreads();
  const Rates r = rates;
  if (r.skip) return;
  const uint2 seed = make_uint2(static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32));
  // Element i of the tensor takes word i % 4 of the block (i / 4, step, tensor).
  const auto noise = [&](std::uint64_t element) {
    return philox4x32_10(make_uint4(static_cast<std::uint32_t>(element / 4),
                                    static_cast<std::uint32_t>(element / 4 >> 32), r.step, key.tensor),
                         seed);
  };
  for_elements(elements, packets, [&](std::int64_t i, auto count) {
    constexpr int W = decltype(count)::value;
    float p[W], g[W], m[W], v[W];
    read(p, weights + i);
    read(g, gradient + i);
    read(m, first + i);
    read(v, second + i);
    const auto element = static_cast<std::uint64_t>(key.first_element + i);
    uint4 words = noise(element);
    Packet<bf16, W> rounded;
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const unsigned word = (element + w) % 4;
      if (w > 0 && word == 0) words = noise(element + w);
      const std::uint32_t random = word == 0 ? words.x : word == 1 ? words.y : word == 2 ? words.z : words.w;
      rounded.put(w, round_stochastically(moments.update(r, p[w], g[w], m[w], v[w]), random));
    }
    store(weights + i, rounded);
    write(first + i, m);
    write(second + i, v);
  });
}

template <class T, class G>
__global__ void __launch_bounds__(threads) sgd_kernel(Sgd options, std::int64_t elements, bool packets, float* master,
                                                      const G* gradient, float* velocity, T* weights) {
  __shared__ Rates rates;
  if (threadIdx.x == 0) rates = sgd_rates(options);
  __syncthreads();
  const Rates r = rates;
  if (r.skip) return;
  const float momentum = static_cast<float>(options.momentum);
  for_elements(elements, packets, [&](std::int64_t i, auto count) {
    constexpr int W = decltype(count)::value;
    float p[W], g[W], u[W] = {};
    read(p, master + i);
    read(g, gradient + i);
    if (velocity != nullptr) read(u, velocity + i);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      u[w] = momentum * u[w] + r.factor * g[w];
      p[w] = r.decay * p[w] - r.rate * u[w];
    }
    if (velocity != nullptr) write(velocity + i, u);
    write(master + i, p);
    if (weights != nullptr) write(weights + i, p);
  });
}

dim3 update_grid(std::int64_t elements) {
  const std::int64_t blocks = ceil_div(elements, width * threads);
  return grid_of(blocks < most_blocks ? blocks : most_blocks);
}

// The norm: a constant number of parts, each summed by a block in double, then one block over the parts.
constexpr int norm_threads = 512, norm_parts = 1024;

template <int W, class G>
__global__ void __launch_bounds__(norm_threads) squares_kernel(std::int64_t elements, const G* x, double* parts) {
  __shared__ double shared[warp_size];
  double sum[1] = {0};
  const std::int64_t packets = elements / W, step = std::int64_t{norm_parts} * norm_threads;
  const std::int64_t me = std::int64_t{blockIdx.x} * norm_threads + threadIdx.x;
  const auto take = [&](const Packet<G, W>& in) {
    float square = 0;  // of one packet: at most eight numbers, so float loses nothing that matters
#pragma unroll
    for (int w = 0; w < W; ++w) square += in[w] * in[w];
    sum[0] += static_cast<double>(square);
  };
#pragma unroll 4
  for (std::int64_t p = me; p < packets; p += step) take(load<W>(x + p * W));
  for (std::int64_t i = packets * W + me; i < elements; i += step) {
    const double value = to_float(x[i]);
    sum[0] += value * value;
  }
  block_sum(sum, shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum[0];
}

__global__ void __launch_bounds__(norm_parts) join_squares_kernel(const double* parts, double* total, bool accumulate) {
  __shared__ double shared[warp_size];
  double sum[1] = {parts[threadIdx.x]};
  block_sum(sum, shared);
  if (threadIdx.x == 0) *total = accumulate ? *total + sum[0] : sum[0];
}

__global__ void clip_kernel(const double* squared, double factor, double limit, double* norm, StepState* state) {
  const double length = factor * sqrt(*squared);
  if (norm != nullptr) *norm = length;
  state->gradient_factor = limit > 0 && length > limit ? factor * (limit / length) : factor;
  state->skip = isfinite(length) ? 0 : 1;
}

}  // namespace

template <class T, class G>
cudaError_t adamw(const Context& context, const AdamW& options, std::int64_t elements, float* master, const G* gradient,
                  float* first_moment, float* second_moment, T* weights) {
  if (elements == 0) return cudaSuccess;
  const bool packets = aligned(master, gradient, first_moment, second_moment, weights);
  adamw_kernel<<<update_grid(elements), threads, 0, context.stream>>>(
      options, Moments(options), elements, packets, master, gradient, first_moment, second_moment, weights);
  return cudaGetLastError();
}

template <class G>
cudaError_t adamw_stochastic(const Context& context, const AdamW& options, const RoundingKey& key,
                             std::int64_t elements, bf16* weights, const G* gradient, float* first_moment,
                             float* second_moment) {
  if (elements == 0) return cudaSuccess;
  const bool packets = aligned(weights, gradient, first_moment, second_moment);
  adamw_stochastic_kernel<<<update_grid(elements), threads, 0, context.stream>>>(
      options, Moments(options), key, elements, packets, weights, gradient, first_moment, second_moment);
  return cudaGetLastError();
}

template <class T, class G>
cudaError_t sgd(const Context& context, const Sgd& options, std::int64_t elements, float* master, const G* gradient,
                float* velocity, T* weights) {
  if (elements == 0) return cudaSuccess;
  const bool packets = aligned(master, gradient, velocity, weights);
  sgd_kernel<<<update_grid(elements), threads, 0, context.stream>>>(options, elements, packets, master, gradient,
                                                                    velocity, weights);
  return cudaGetLastError();
}

std::int64_t squared_norm_workspace_bytes() { return norm_parts * static_cast<std::int64_t>(sizeof(double)); }

template <class G>
cudaError_t squared_norm(const Context& context, std::int64_t elements, const G* x, double* sum, bool accumulate) {
  if (context.workspace_bytes < squared_norm_workspace_bytes()) return cudaErrorInvalidValue;
  const auto parts = static_cast<double*>(context.workspace);
  const cudaError_t status = with_width<G>(aligned(x), [&](auto packet) {
    constexpr int W = decltype(packet)::value;
    squares_kernel<W><<<norm_parts, norm_threads, 0, context.stream>>>(elements, x, parts);
    return cudaGetLastError();
  });
  if (status != cudaSuccess) return status;
  join_squares_kernel<<<1, norm_parts, 0, context.stream>>>(parts, sum, accumulate);
  return cudaGetLastError();
}

cudaError_t clip_gradients(const Context& context, const double* squared, double factor, double limit, double* norm,
                           StepState* state) {
  clip_kernel<<<1, 1, 0, context.stream>>>(squared, factor, limit, norm, state);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T, G)                                                                                      \
  template cudaError_t adamw<T, G>(const Context&, const AdamW&, std::int64_t, float*, const G*, float*, float*, T*); \
  template cudaError_t sgd<T, G>(const Context&, const Sgd&, std::int64_t, float*, const G*, float*, T*);
DTCALC_INSTANTIATE(float, float)
DTCALC_INSTANTIATE(bf16, float)
DTCALC_INSTANTIATE(fp16, float)
DTCALC_INSTANTIATE(bf16, bf16)
DTCALC_INSTANTIATE(fp16, fp16)
#undef DTCALC_INSTANTIATE
#define DTCALC_INSTANTIATE(G)                                                                                     \
  template cudaError_t adamw_stochastic<G>(const Context&, const AdamW&, const RoundingKey&, std::int64_t, bf16*, \
                                           const G*, float*, float*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
#undef DTCALC_INSTANTIATE
#define DTCALC_INSTANTIATE(G) \
  template cudaError_t squared_norm<G>(const Context&, std::int64_t, const G*, double*, bool);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
