#include "engine/cpu/activation_output.hpp"

#include <cmath>

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements that are worth a thread

template <class F>
void each(Context& context, std::int64_t elements, F&& f) {
  context.pool.parallel_for(elements, kGrain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace

template <class T>
void activation_backward_from_output(Context& context, Activation activation, std::int64_t elements, const T* y,
                                     const T* dy, T* dx) {
  if (activation == Activation::relu)
    each(context, elements, [=](std::int64_t i) { dx[i] = y[i] > 0 ? dy[i] : T(0); });
  else if (activation == Activation::tanh)
    each(context, elements, [=](std::int64_t i) { dx[i] = dy[i] * (1 - y[i] * y[i]); });
  else
    each(context, elements, [=](std::int64_t i) { dx[i] = dy[i] * y[i] * (1 - y[i]); });
}

template <class T>
void softcap_forward(Context& context, double cap, std::int64_t elements, const T* x, T* y) {
  const T c = static_cast<T>(cap);
  each(context, elements, [=](std::int64_t i) { y[i] = c * std::tanh(x[i] / c); });
}

template <class T>
void softcap_backward(Context& context, double cap, std::int64_t elements, const T* y, const T* dy, T* dx) {
  const T c = static_cast<T>(cap);
  each(context, elements, [=](std::int64_t i) { dx[i] = dy[i] * (1 - y[i] / c * (y[i] / c)); });
}

#define DTCALC_INSTANTIATE(T)                                                                                   \
  template void activation_backward_from_output<T>(Context&, Activation, std::int64_t, const T*, const T*, T*); \
  template void softcap_forward<T>(Context&, double, std::int64_t, const T*, T*);                               \
  template void softcap_backward<T>(Context&, double, std::int64_t, const T*, const T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
