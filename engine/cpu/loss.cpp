#include "engine/cpu/loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/cpu/reduce.hpp"
#include "engine/cpu/vector_math.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 2048;  // elements worth waking a worker for

struct LogSumExp {
  double log_sum;  // ln of the sum of exp(z - max)
  double sum, max;
};

/// Over logit(i), i < vocabulary.
template <class T, class Logit>
LogSumExp log_sum_exp(std::int64_t vocabulary, Logit logit) {
  const T max = reduce_max<T>(vocabulary, -std::numeric_limits<T>::infinity(), logit);
  const T sum = reduce_sum<T>(vocabulary, [=](std::int64_t i) { return fast_exp(logit(i) - max); });
  return {std::log(static_cast<double>(sum)), static_cast<double>(sum), static_cast<double>(max)};
}

/// Loss of a row in T; with `gradient` (which may be `logits`) also its gradient.
template <class T>
T row_loss_of(std::int64_t vocabulary, const T* logits, std::int32_t target, T cap, T factor, T* gradient) {
  if (target < 0) {
    if (gradient != nullptr) std::fill(gradient, gradient + vocabulary, T(0));
    return T(0);
  }
  const T inverse_cap = cap > T(0) ? T(1) / cap : T(0);
  const auto run = [&](auto logit, auto slope) {
    const LogSumExp total = log_sum_exp<T>(vocabulary, logit);
    const T loss = static_cast<T>(total.log_sum - (static_cast<double>(logit(target)) - total.max));
    if (gradient != nullptr) {
      const T max = static_cast<T>(total.max);
      const T weight = static_cast<T>(static_cast<double>(factor) / total.sum);
      const T at_target = factor * slope(target);  // read before the loop overwrites the logit
#pragma omp simd
      for (std::int64_t i = 0; i < vocabulary; ++i) gradient[i] = fast_exp(logit(i) - max) * weight * slope(i);
      gradient[target] -= at_target;
    }
    return loss;
  };
  if (cap > T(0)) {
    const auto t = [=](std::int64_t i) { return fast_tanh(logits[i] * inverse_cap); };
    return run([=](std::int64_t i) { return cap * t(i); }, [=](std::int64_t i) { return T(1) - t(i) * t(i); });
  }
  return run([=](std::int64_t i) { return logits[i]; }, [](std::int64_t) { return T(1); });
}

template <class T>
LossSum loss_of(Context& context, std::int64_t rows, std::int64_t vocabulary, const T* logits,
                const std::int32_t* targets, double softcap, double factor, T* row_loss, T* gradient) {
  const std::int64_t row_grain = std::max<std::int64_t>(1, grain / vocabulary);
  context.pool.parallel_for(rows, row_grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      row_loss[row] = row_loss_of(vocabulary, logits + row * vocabulary, targets[row], static_cast<T>(softcap),
                                  static_cast<T>(factor), gradient == nullptr ? nullptr : gradient + row * vocabulary);
    }
  });
  LossSum sum;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (targets[row] < 0) continue;
    sum.total += static_cast<double>(row_loss[row]);
    ++sum.tokens;
  }
  return sum;
}

}  // namespace

template <class T>
LossSum loss_forward(Context& context, std::int64_t rows, std::int64_t vocabulary, const T* logits,
                     const std::int32_t* targets, double softcap, T* row_loss) {
  return loss_of(context, rows, vocabulary, logits, targets, softcap, 0, row_loss, static_cast<T*>(nullptr));
}

template <class T>
LossSum loss_forward_backward(Context& context, std::int64_t rows, std::int64_t vocabulary, T* logits,
                              const std::int32_t* targets, double softcap, double factor, T* row_loss) {
  return loss_of<T>(context, rows, vocabulary, logits, targets, softcap, factor, row_loss, logits);
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template LossSum loss_forward<T>(Context&, std::int64_t, std::int64_t, const T*, const std::int32_t*, double, T*); \
  template LossSum loss_forward_backward<T>(Context&, std::int64_t, std::int64_t, T*, const std::int32_t*, double,   \
                                            double, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
