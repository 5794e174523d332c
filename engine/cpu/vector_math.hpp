// exp, tanh and the normal distribution as branch-free inline functions that compilers vectorise inside loops, where
// the library's scalar functions would cost ten times the rest. NaN and infinities come through as IEEE arithmetic has
// them. Included by the kernels' sources only. Errors below are the largest seen by
// tests/engine/cpu_vector_math_test.cpp.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace dtcalc::cpu {

template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  using Bits = std::uint32_t;
  static constexpr int mantissa_bits = 23, bias = 127;
  static constexpr float rounder = 12582912.0F;  // 1.5 2^23: x + rounder holds round(x) in its low mantissa bits
  // ln 2 in two parts; the upper one has trailing zeros, so that n upper is exact.
  static constexpr float ln2_upper = 0x1.62e4p-1F, ln2_lower = 0x1.7f7d1cp-20F;
  static constexpr float lowest = -86.5F;  // below: 0, so that no result is denormal (2^-125 is the least power used)
  static constexpr float highest = 88.72283F;  // above: infinity
};
template <>
struct ExpConstants<double> {
  using Bits = std::uint64_t;
  static constexpr int mantissa_bits = 52, bias = 1023;
  static constexpr double rounder = 6755399441055744.0;  // 1.5 2^52
  static constexpr double ln2_upper = 0x1.62e42fefap-1, ln2_lower = 0x1.cf79abc9e3b3ap-40;
  static constexpr double lowest = -707.5;
  static constexpr double highest = 709.782712893;
};

/// e^x = 2^(n + 1) (1 + q): the reduced argument's e^r - 1, without cancellation, and 2^n.
template <class T>
struct ExpParts {
  T reduced;  ///< e^r - 1 for |r| <= ln(2) / 2
  T power;    ///< 2^n / 2, halved so that 2^128 (2^1024) never has to be held
};

template <class T>
inline ExpParts<T> exp_parts(T x) {
  using C = ExpConstants<T>;
  using Bits = typename C::Bits;
  const T shifted = x * T(1.4426950408889634074) + C::rounder;
  const T n = shifted - C::rounder;
  const T r = (x - n * C::ln2_upper) - n * C::ln2_lower;
  // Taylor's series: the first term left out is below 1/12 (float) and 1/25 (double) of an ulp.
  T q;
  if constexpr (std::is_same_v<T, float>) {
    q = T(1.0 / 5040);
  } else {
    q = T(1.0 / 6227020800.0);
    q = q * r + T(1.0 / 479001600.0);
    q = q * r + T(1.0 / 39916800.0);
    q = q * r + T(1.0 / 3628800.0);
    q = q * r + T(1.0 / 362880.0);
    q = q * r + T(1.0 / 40320.0);
    q = q * r + T(1.0 / 5040.0);
  }
  q = q * r + T(1.0 / 720);
  q = q * r + T(1.0 / 120);
  q = q * r + T(1.0 / 24);
  q = q * r + T(1.0 / 6);
  q = q * r + T(0.5);
  const T reduced = q * r * r + r;
  const Bits exponent = (std::bit_cast<Bits>(shifted) + Bits(C::bias - 1)) << C::mantissa_bits;
  return {reduced, std::bit_cast<T>(exponent)};
}

/// e^x within 1.1 ulp; results below 2^-124 (2^-1020 in double) are 0.
template <class T>
inline T fast_exp(T x) {
  using C = ExpConstants<T>;
  const ExpParts<T> parts = exp_parts(x);
  const T value = (parts.power + parts.power * parts.reduced) * T(2);
  const T lower = x < C::lowest ? T(0) : value;
  return x > C::highest ? std::numeric_limits<T>::infinity() : lower;
}

/// tanh x within 3 ulp.
template <class T>
inline T fast_tanh(T x) {
  constexpr T saturation = std::is_same_v<T, float> ? T(10) : T(20);  // tanh is 1 to the last bit from here on
  const T magnitude = x < T(0) ? -x : x;
  const T y = magnitude > saturation ? saturation : magnitude;
  const ExpParts<T> parts = exp_parts(y + y);
  const T twice = parts.power * T(2);
  const T e = twice * parts.reduced + (twice - T(1));  // e^(2y) - 1
  const T t = e / (e + T(2));
  return x < T(0) ? -t : t;
}

/// 1 / (1 + e^-x) within 3 ulp.
template <class T>
inline T fast_sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

/// Density and cumulative distribution of the standard normal distribution.
template <class T>
struct Normal {
  T density, cumulative;
};

/// Double takes the library's erfc. Float: erfc(a) = e^(-a^2) t P(2 t - 1), t = 1 / (1 + 0.4 a), P of degree 10 by
/// Chebyshev interpolation of e^(a^2) erfc(a) / t over all a >= 0 (relative error 9e-9); with rounding, the cumulative
/// is within 2 ulp of one everywhere, so GELU's error is below 2 ulp of |x|.
template <class T>
inline Normal<T> normal(T x) {
  constexpr T inverse_sqrt_2pi = T(0.39894228040143267794);
  constexpr T inverse_sqrt_2 = T(0.70710678118654752440);
  const T gauss = fast_exp(T(-0.5) * x * x);
  if constexpr (std::is_same_v<T, double>) {
    return {inverse_sqrt_2pi * gauss, T(0.5) * std::erfc(-x * inverse_sqrt_2)};
  } else {
    const T a = (x < T(0) ? -x : x) * inverse_sqrt_2;
    const T t = T(1) / (T(1) + T(0.4) * a);
    const T s = t + t - T(1);
    T p = T(-2.80640516723e-5);
    p = p * s + T(-1.08028519279e-5);
    p = p * s + T(2.63716323793e-4);
    p = p * s + T(1.65569993994e-4);
    p = p * s + T(-1.91894446627e-3);
    p = p * s + T(-3.35325274959e-3);
    p = p * s + T(1.1342670473e-2);
    p = p * s + T(6.84997949716e-2);
    p = p * s + T(1.81565810475e-1);
    p = p * s + T(3.21860771531e-1);
    p = p * s + T(4.21612725879e-1);
    const T tail = T(0.5) * gauss * t * p;
    return {inverse_sqrt_2pi * gauss, x < T(0) ? tail : T(1) - tail};
  }
}

}  // namespace dtcalc::cpu
