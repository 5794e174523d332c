// The laws of time: seconds of one kernel from its FLOPs, bytes and shape.
//
// A datasheet gives the roofline max(FLOP / rate, bytes / bandwidth). A profile made by `dtcalc measure` holds measured
// points of each kernel; between them the rate is interpolated, piecewise linear in the logarithm of every size.
#pragma once

#include "costmodel/evaluate/sizes.hpp"

namespace dtcalc {

enum class Bound : std::uint8_t { compute, memory, measured, communication };

struct KernelCost {
  std::int64_t flop = 0;
  std::int64_t read_bytes = 0, written_bytes = 0;
  double seconds = 0;  ///< without launch
  Bound bound = Bound::compute;
};

/// Cost of one kernel; `values` from evaluate_extents.
KernelCost kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes, const std::int64_t* values);

/// Rate of a product of the contract `name` interpolated from the measured points; 0 if there are none.
double interpolated_rate(const Device& device, std::string_view name, std::int64_t m, std::int64_t n, std::int64_t k);

/// Seconds per element of a loop kernel interpolated from the measured points; 0 if there are none.
double interpolated_loop(const Device& device, std::string_view name, std::int64_t elements);

}  // namespace dtcalc
