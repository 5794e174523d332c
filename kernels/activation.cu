#include "kernels/activation.hpp"

#include "kernels/instantiate.cuh"
#include "kernels/packet.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int threads = 256;

// Functions of float: value(x), and value and derivative together where subexpressions are shared. What is not finite
// comes out as the mathematics has it: e^(-x) may overflow to infinity, 1 / infinity is 0.
struct Both {
  float value, slope;
};

__device__ float sigmoid(float x) { return __fdividef(1.0F, 1.0F + __expf(-fmaxf(x, -80.0F))); }

// The normal distribution as in engine/cpu/vector_math.hpp, which says where the polynomial comes from: a library erfc
// costs as much as the rest of the kernel.
struct Gelu {
  __device__ static Both both(float x) {
    const float gauss = __expf(-0.5F * x * x);
    const float t = __fdividef(1.0F, 1.0F + 0.4F * 0.70710678F * fabsf(x)), s = t + t - 1.0F;
    float p = -2.80640516723e-5F;
    p = p * s - 1.08028519279e-5F;
    p = p * s + 2.63716323793e-4F;
    p = p * s + 1.65569993994e-4F;
    p = p * s - 1.91894446627e-3F;
    p = p * s - 3.35325274959e-3F;
    p = p * s + 1.1342670473e-2F;
    p = p * s + 6.84997949716e-2F;
    p = p * s + 1.81565810475e-1F;
    p = p * s + 3.21860771531e-1F;
    p = p * s + 4.21612725879e-1F;
    const float tail = 0.5F * gauss * t * p, cumulative = x < 0.0F ? tail : 1.0F - tail;
    return {x * cumulative, cumulative + x * 0.39894228F * gauss};
  }
};

// x (1 + tanh u) / 2 = x sigmoid(2 u) with u = sqrt(2/pi) (x + 0.044715 x^3).
struct GeluTanh {
  __device__ static Both both(float x) {
    constexpr float factor = 1.5957691216F, cubic = 0.044715F;
    const float s = sigmoid(factor * x * (1.0F + cubic * x * x));
    return {x * s, s + x * s * (1.0F - s) * factor * (1.0F + 3.0F * cubic * x * x)};
  }
};

struct Relu {
  __device__ static Both both(float x) { return {x < 0.0F ? 0.0F : x, x > 0.0F ? 1.0F : 0.0F}; }
};

struct Tanh {
  __device__ static Both both(float x) {
    const float t = tanhf(x);
    return {t, 1.0F - t * t};
  }
};

struct Sigmoid {
  __device__ static Both both(float x) {
    const float s = sigmoid(x);
    return {s, s * (1.0F - s)};
  }
};

struct Silu {
  __device__ static Both both(float x) {
    const float s = sigmoid(x);
    return {x * s, s + x * s * (1.0F - s)};
  }
};

/// Calls body(phi) with the type of the function.
template <class Body>
cudaError_t with_function(Activation activation, Body body) {
  switch (activation) {
    case Activation::gelu:
      return body(Gelu{});
    case Activation::gelu_tanh:
      return body(GeluTanh{});
    case Activation::relu:
      return body(Relu{});
    case Activation::tanh:
      return body(Tanh{});
    case Activation::sigmoid:
      return body(Sigmoid{});
    case Activation::silu:
      return body(Silu{});
  }
  return cudaErrorInvalidValue;
}

// What is done with a packet of each input: from two floats to one, or from three to two.
template <class Phi>
struct Value {
  __device__ float operator()(float x) const { return Phi::both(x).value; }
};
template <class Phi>
struct Slope {
  __device__ float operator()(float x, float dy) const { return dy * Phi::both(x).slope; }
};
template <class Phi>
struct Gated {
  __device__ float operator()(float gate, float up) const { return Phi::both(gate).value * up; }
};
struct ReluOutput {
  __device__ float operator()(float y, float dy) const { return y > 0.0F ? dy : 0.0F; }
};
struct TanhOutput {
  __device__ float operator()(float y, float dy) const { return dy * (1.0F - y * y); }
};
struct SigmoidOutput {
  __device__ float operator()(float y, float dy) const { return dy * y * (1.0F - y); }
};
struct Cap {
  float cap, inverse;
  __device__ float operator()(float x) const { return cap * tanhf(x * inverse); }
};
struct CapOutput {
  float inverse;
  __device__ float operator()(float y, float dy) const { return dy * (1.0F - y * inverse * (y * inverse)); }
};

template <int W, class T, class F>
__global__ void __launch_bounds__(threads) unary_kernel(std::int64_t elements, const T* a, T* out, F f) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> in = load<W>(a + i);
  float value[W];
#pragma unroll
  for (int w = 0; w < W; ++w) value[w] = f(in[w]);
  Packet<T, W> result;
  result.set(value);
  store(out + i, result);
}

template <int W, class T, class F>
__global__ void __launch_bounds__(threads) binary_kernel(std::int64_t elements, const T* a, const T* b, T* out, F f) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> left = load<W>(a + i), right = load<W>(b + i);
  float value[W];
#pragma unroll
  for (int w = 0; w < W; ++w) value[w] = f(left[w], right[w]);
  Packet<T, W> result;
  result.set(value);
  store(out + i, result);
}

template <class Phi, int W, class T>
__global__ void __launch_bounds__(threads)
    gated_backward_kernel(std::int64_t elements, const T* gate, const T* up, const T* dy, T* dgate, T* dup) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * threads + threadIdx.x) * W;
  if (i >= elements) return;
  const Packet<T, W> g = load<W>(gate + i), u = load<W>(up + i), above = load<W>(dy + i);
  float value_gate[W], value_up[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    const Both at = Phi::both(g[w]);
    value_gate[w] = above[w] * u[w] * at.slope;
    value_up[w] = above[w] * at.value;
  }
  Packet<T, W> to_gate, to_up;
  to_gate.set(value_gate);
  to_up.set(value_up);
  store(dgate + i, to_gate);
  store(dup + i, to_up);
}

template <class T, class F>
cudaError_t unary(const Context& context, std::int64_t elements, const T* a, T* out, F f) {
  if (elements == 0) return cudaSuccess;
  return with_width<T>(elements % packet_width<T> == 0 && aligned(a, out), [&](auto width) {
    constexpr int W = decltype(width)::value;
    unary_kernel<W><<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(elements, a, out, f);
    return cudaGetLastError();
  });
}

template <class T, class F>
cudaError_t binary(const Context& context, std::int64_t elements, const T* a, const T* b, T* out, F f) {
  if (elements == 0) return cudaSuccess;
  return with_width<T>(elements % packet_width<T> == 0 && aligned(a, b, out), [&](auto width) {
    constexpr int W = decltype(width)::value;
    binary_kernel<W><<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(elements, a, b, out, f);
    return cudaGetLastError();
  });
}

}  // namespace

template <class T>
cudaError_t activation_forward(const Context& context, Activation activation, std::int64_t elements, const T* x, T* y) {
  return with_function(activation, [&](auto phi) { return unary(context, elements, x, y, Value<decltype(phi)>{}); });
}

template <class T>
cudaError_t activation_backward(const Context& context, Activation activation, std::int64_t elements, const T* x,
                                const T* dy, T* dx) {
  return with_function(activation,
                       [&](auto phi) { return binary(context, elements, x, dy, dx, Slope<decltype(phi)>{}); });
}

template <class T>
cudaError_t gated_activation_forward(const Context& context, Activation activation, std::int64_t elements,
                                     const T* gate, const T* up, T* y) {
  return with_function(activation,
                       [&](auto phi) { return binary(context, elements, gate, up, y, Gated<decltype(phi)>{}); });
}

template <class T>
cudaError_t gated_activation_backward(const Context& context, Activation activation, std::int64_t elements,
                                      const T* gate, const T* up, const T* dy, T* dgate, T* dup) {
  if (elements == 0) return cudaSuccess;
  return with_function(activation, [&](auto phi) {
    return with_width<T>(elements % packet_width<T> == 0 && aligned(gate, up, dy, dgate, dup), [&](auto width) {
      constexpr int W = decltype(width)::value;
      gated_backward_kernel<decltype(phi), W><<<grid_of(ceil_div(elements, threads * W)), threads, 0, context.stream>>>(
          elements, gate, up, dy, dgate, dup);
      return cudaGetLastError();
    });
  });
}

template <class T>
cudaError_t activation_backward_from_output(const Context& context, Activation activation, std::int64_t elements,
                                            const T* y, const T* dy, T* dx) {
  switch (activation) {
    case Activation::relu:
      return binary(context, elements, y, dy, dx, ReluOutput{});
    case Activation::tanh:
      return binary(context, elements, y, dy, dx, TanhOutput{});
    case Activation::sigmoid:
      return binary(context, elements, y, dy, dx, SigmoidOutput{});
    case Activation::gelu:
    case Activation::gelu_tanh:
    case Activation::silu:
      return cudaErrorInvalidValue;  // not monotonic: the output does not say the input
  }
  return cudaErrorInvalidValue;
}

template <class T>
cudaError_t softcap_forward(const Context& context, double cap, std::int64_t elements, const T* x, T* y) {
  return unary(context, elements, x, y, Cap{static_cast<float>(cap), static_cast<float>(1 / cap)});
}

template <class T>
cudaError_t softcap_backward(const Context& context, double cap, std::int64_t elements, const T* y, const T* dy,
                             T* dx) {
  return binary(context, elements, y, dy, dx, CapOutput{static_cast<float>(1 / cap)});
}

#define DTCALC_INSTANTIATE(T)                                                                                         \
  template cudaError_t activation_forward<T>(const Context&, Activation, std::int64_t, const T*, T*);                 \
  template cudaError_t activation_backward<T>(const Context&, Activation, std::int64_t, const T*, const T*, T*);      \
  template cudaError_t gated_activation_forward<T>(const Context&, Activation, std::int64_t, const T*, const T*, T*); \
  template cudaError_t gated_activation_backward<T>(const Context&, Activation, std::int64_t, const T*, const T*,     \
                                                    const T*, T*, T*);                                                \
  template cudaError_t activation_backward_from_output<T>(const Context&, Activation, std::int64_t, const T*,         \
                                                          const T*, T*);                                              \
  template cudaError_t softcap_forward<T>(const Context&, double, std::int64_t, const T*, T*);                        \
  template cudaError_t softcap_backward<T>(const Context&, double, std::int64_t, const T*, const T*, T*);
DTCALC_FOR_TYPES(DTCALC_INSTANTIATE)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
