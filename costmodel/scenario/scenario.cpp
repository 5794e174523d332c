#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

FlopPerSecond Device::rate(Dtype dtype) const {
  for (const ComputeRate& known : compute)
    if (known.dtype == dtype) return known.rate;
  return FlopPerSecond(0);
}

}  // namespace dtcalc
