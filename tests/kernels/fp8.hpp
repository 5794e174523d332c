// 8-bit floating point on the host, worked out from its definition (Micikevicius et al. 2022, table 1): the twin of the
// casts in kernels/cast_fp8.cu.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cast_fp8.hpp"

namespace dtcalc::cuda::test {

struct Fp8Format {
  int mantissa_bits, bias;
  double largest;
};
inline Fp8Format format_of(Fp8 format) {
  return format == Fp8::e4m3 ? Fp8Format{3, 7, kLargestE4m3} : Fp8Format{2, 15, kLargestE5m2};
}

/// The code of x, rounded to nearest even and saturated; x is no NaN.
inline std::uint8_t encode(double x, Fp8 format) {
  const Fp8Format f = format_of(format);
  const int sign = std::signbit(x) ? 0x80 : 0, one = 1 << f.mantissa_bits;
  const double magnitude = std::min(std::abs(x), f.largest);
  int exponent = magnitude > 0 ? std::max(std::ilogb(magnitude), 1 - f.bias) : 1 - f.bias;
  // `magnitude` in units of the last place: at most twice `one`, which is the next power of two.
  auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, f.mantissa_bits - exponent)));
  if (units == 2 * one) units = one, ++exponent;
  return static_cast<std::uint8_t>(sign |
                                   (units < one ? units : ((exponent + f.bias) << f.mantissa_bits) + units - one));
}

/// The number of a code that is finite.
inline double decode(std::uint8_t code, Fp8 format) {
  const Fp8Format f = format_of(format);
  const int one = 1 << f.mantissa_bits, field = (code & 0x7F) >> f.mantissa_bits, fraction = code & (one - 1);
  const double magnitude = field == 0 ? std::ldexp(fraction, 1 - f.bias - f.mantissa_bits)
                                      : std::ldexp(one + fraction, field - f.bias - f.mantissa_bits);
  return code & 0x80 ? -magnitude : magnitude;
}

}  // namespace dtcalc::cuda::test
