#include "engine/cpu/activation.hpp"

#include "engine/cpu/vector_math.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 2048;  // elements worth waking a worker for

template <class T>
struct ValueAndSlope {
  T value, slope;
};

// One type per function: value(x) and, for the backward of a gated unit, value and derivative with shared
// subexpressions.
struct Gelu {
  template <class T>
  static T value(T x) {
    return x * normal(x).cumulative;
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    const Normal<T> n = normal(x);
    return {x * n.cumulative, n.cumulative + x * n.density};
  }
};

// x (1 + tanh u) / 2 = x sigmoid(2 u) with u = sqrt(2/pi) (x + 0.044715 x^3): one exp, no tanh.
struct GeluTanh {
  static constexpr double twice_sqrt_2_over_pi = 1.5957691216057307117;
  static constexpr double cubic = 0.044715;
  template <class T>
  static T value(T x) {
    return x * fast_sigmoid(T(twice_sqrt_2_over_pi) * x * (T(1) + T(cubic) * x * x));
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    const T square = x * x;
    const T s = fast_sigmoid(T(twice_sqrt_2_over_pi) * x * (T(1) + T(cubic) * square));
    return {x * s, s + x * s * (T(1) - s) * T(twice_sqrt_2_over_pi) * (T(1) + T(3 * cubic) * square)};
  }
};

struct Relu {
  template <class T>
  static T value(T x) {
    return x < T(0) ? T(0) : x;  // keeps NaN
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    return {value(x), x > T(0) ? T(1) : T(0)};
  }
};

struct Tanh {
  template <class T>
  static T value(T x) {
    return fast_tanh(x);
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    const T t = fast_tanh(x);
    return {t, T(1) - t * t};
  }
};

struct Sigmoid {
  template <class T>
  static T value(T x) {
    return fast_sigmoid(x);
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    const T s = fast_sigmoid(x);
    return {s, s * (T(1) - s)};
  }
};

struct Silu {
  template <class T>
  static T value(T x) {
    return x * fast_sigmoid(x);
  }
  template <class T>
  static ValueAndSlope<T> both(T x) {
    const T s = fast_sigmoid(x);
    return {x * s, s + x * s * (T(1) - s)};
  }
};

/// Calls body(phi) with the type of the function.
template <class Body>
void with_function(Activation activation, Body body) {
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
}

}  // namespace

template <class T>
void activation_forward(Context& context, Activation activation, std::int64_t elements, const T* x, T* y) {
  with_function(activation, [&](auto phi) {
    context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) y[i] = phi.value(x[i]);
    });
  });
}

template <class T>
void activation_backward(Context& context, Activation activation, std::int64_t elements, const T* x, const T* dy,
                         T* dx) {
  with_function(activation, [&](auto phi) {
    context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * phi.both(x[i]).slope;
    });
  });
}

template <class T>
void gated_activation_forward(Context& context, Activation activation, std::int64_t elements, const T* gate,
                              const T* up, T* y) {
  with_function(activation, [&](auto phi) {
    context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) y[i] = phi.value(gate[i]) * up[i];
    });
  });
}

template <class T>
void gated_activation_backward(Context& context, Activation activation, std::int64_t elements, const T* gate,
                               const T* up, const T* dy, T* dgate, T* dup) {
  with_function(activation, [&](auto phi) {
    context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        const ValueAndSlope<T> at = phi.both(gate[i]);
        const T above = dy[i], linear = up[i];
        dgate[i] = above * linear * at.slope;
        dup[i] = above * at.value;
      }
    });
  });
}

#define DTCALC_INSTANTIATE(T)                                                                            \
  template void activation_forward<T>(Context&, Activation, std::int64_t, const T*, T*);                 \
  template void activation_backward<T>(Context&, Activation, std::int64_t, const T*, const T*, T*);      \
  template void gated_activation_forward<T>(Context&, Activation, std::int64_t, const T*, const T*, T*); \
  template void gated_activation_backward<T>(Context&, Activation, std::int64_t, const T*, const T*, const T*, T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
