#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

FlopPerSecond Device::rate(Dtype dtype) const {
  for (const ComputeRate& known : compute)
    if (known.dtype == dtype) return known.rate;
  return FlopPerSecond(0);
}

double Device::achievable_fraction(Dtype dtype) const {
  for (const ComputeFraction& known : achievable_compute)
    if (known.dtype == dtype) return known.fraction;
  return 1;
}

}  // namespace dtcalc
