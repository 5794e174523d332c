#include "engine/cpu/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "engine/cpu/reduce.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 4096;  // elements worth waking a worker for

}  // namespace

template <class T>
void adamw(Context& context, const AdamW& options, std::int64_t elements, T* parameter, const T* gradient,
           T* first_moment, T* second_moment) {
  const auto step = static_cast<double>(options.step);
  const T beta1 = static_cast<T>(options.beta1), rest1 = static_cast<T>(1 - options.beta1);
  const T beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1 - options.beta2);
  const T decay = static_cast<T>(1 - options.learning_rate * options.weight_decay);
  const T rate = static_cast<T>(options.learning_rate / (1 - std::pow(options.beta1, step)));
  const T root_correction = static_cast<T>(1 / std::sqrt(1 - std::pow(options.beta2, step)));
  const T epsilon = static_cast<T>(options.epsilon), factor = static_cast<T>(options.gradient_factor);
  context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const T g = gradient[i] * factor;
      const T m = beta1 * first_moment[i] + rest1 * g;
      const T v = beta2 * second_moment[i] + rest2 * g * g;
      first_moment[i] = m;
      second_moment[i] = v;
      parameter[i] = decay * parameter[i] - rate * m / (std::sqrt(v) * root_correction + epsilon);
    }
  });
}

template <class T>
void sgd(Context& context, const Sgd& options, std::int64_t elements, T* parameter, const T* gradient, T* velocity) {
  const T rate = static_cast<T>(options.learning_rate), momentum = static_cast<T>(options.momentum);
  const T decay = static_cast<T>(1 - options.learning_rate * options.weight_decay);
  const T factor = static_cast<T>(options.gradient_factor);
  context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
    if (velocity == nullptr) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) parameter[i] = decay * parameter[i] - rate * (factor * gradient[i]);
    } else {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        const T u = momentum * velocity[i] + factor * gradient[i];
        velocity[i] = u;
        parameter[i] = decay * parameter[i] - rate * u;
      }
    }
  });
}

template <class T>
double squared_norm(Context& context, std::int64_t elements, const T* x) {
  constexpr std::int64_t parts = 64;
  double part[parts];
  context.pool.parallel_for(parts, elements < grain ? parts : 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t first = elements * p / parts, last = elements * (p + 1) / parts;
      part[p] = reduce_sum<double>(last - first, [=](std::int64_t i) {
        const auto value = static_cast<double>(x[first + i]);
        return value * value;
      });
    }
  });
  double sum = 0;
  for (const double value : part) sum += value;
  return sum;
}

#define DTCALC_INSTANTIATE(T)                                                         \
  template void adamw<T>(Context&, const AdamW&, std::int64_t, T*, const T*, T*, T*); \
  template void sgd<T>(Context&, const Sgd&, std::int64_t, T*, const T*, T*);         \
  template double squared_norm<T>(Context&, std::int64_t, const T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
