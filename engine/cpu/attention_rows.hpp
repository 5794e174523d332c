// The row of attention: from raw scores to logits, to probabilities, and back. Shared by the naive and the blocked
// kernels, so that both compute the same function. Included by their sources only.
#pragma once

#include <limits>

#include "engine/cpu/attention.hpp"
#include "engine/cpu/reduce.hpp"
#include "engine/cpu/vector_math.hpp"

namespace dtcalc::cpu {

/// The options in T, for one query head.
template <class T>
struct RowFunction {
  T scale, softcap, inverse_softcap, slope;

  RowFunction(const AttentionOptions& options, std::int64_t head)
      : scale(static_cast<T>(options.scale)),
        softcap(static_cast<T>(options.softcap)),
        inverse_softcap(options.softcap > 0 ? static_cast<T>(1 / options.softcap) : T(0)),
        slope(options.alibi_slopes != nullptr ? static_cast<T>(options.alibi_slopes[head]) : T(0)) {}
};

/// logits[i] from the raw scores of `count` keys; key i lies `distance` - i positions before the query. May be in
/// place.
template <class T>
void logits_of(const RowFunction<T>& f, std::int64_t count, std::int64_t distance, const T* scores, T* logits) {
  if (f.softcap > T(0)) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      logits[i] = f.softcap * fast_tanh(scores[i] * (f.scale * f.inverse_softcap));
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) logits[i] = f.scale * scores[i];
  }
  if (f.slope != T(0)) {
    const auto offset = static_cast<int>(distance);
#pragma omp simd
    for (int i = 0; i < static_cast<int>(count); ++i) logits[i] -= f.slope * static_cast<T>(offset - i);
  }
}

template <class T>
T max_of(std::int64_t count, const T* logits) {
  return reduce_max<T>(count, -std::numeric_limits<T>::infinity(), [=](std::int64_t i) { return logits[i]; });
}

/// x[i] = exp(x[i] - shift); returns the sum. A causal mask gives every row another length, and a scalar remainder
/// would cost more than the rest: the last elements are done as a whole block, which overlaps the one before it (saved
/// first, written last) or, in a row shorter than a block, begins with -inf.
template <class T>
T exponentiate(std::int64_t count, T shift, T* x) {
  constexpr std::int64_t lanes = reduce_lanes<T>;
  const std::int64_t rest = count % lanes, full = count - rest;
  T part[lanes] = {}, last[lanes];
  if (rest > 0 && full > 0) {
    std::copy(x + count - lanes, x + count, last);
  } else if (rest > 0) {
    std::fill(last, last + lanes, -std::numeric_limits<T>::infinity());
    std::copy(x, x + count, last + lanes - count);
  }
  for (std::int64_t i = 0; i < full; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) part[lane] += x[i + lane] = fast_exp(x[i + lane] - shift);
  }
  if (rest > 0) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      last[lane] = fast_exp(last[lane] - shift);
      part[lane] += lane >= lanes - rest ? last[lane] : T(0);
    }
    if (full > 0) {
      std::copy(last, last + lanes, x + count - lanes);
    } else {
      std::copy(last + lanes - count, last + lanes, x);
    }
  }
  return join_lanes(part, [](T a, T b) { return a + b; });
}

/// gradient[i] of the logits becomes that of the raw scores.
template <class T>
void score_gradient(const RowFunction<T>& f, std::int64_t count, const T* scores, T* gradient) {
  if (f.softcap > T(0)) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      const T t = fast_tanh(scores[i] * (f.scale * f.inverse_softcap));
      gradient[i] *= f.scale * (T(1) - t * t);
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) gradient[i] *= f.scale;
  }
}

}  // namespace dtcalc::cpu
