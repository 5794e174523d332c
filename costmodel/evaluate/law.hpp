// The laws of time: seconds of one kernel from its FLOPs, bytes and shape.
//
// Of a datasheet, products follow product_law (tiles and waves), fused attention attention_law, everything else the
// bytes it moves; a device of unknown architecture has the roofline max(FLOP / rate, bytes / bandwidth). A profile made
// by `dtcalc measure` holds measured points of each kernel: measured_rates interpolates them. docs/time.md has the
// equations.
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

/// Seconds per element of the loop called `name`, interpolated from the measured points; 0 if there are none.
double interpolated_loop(const MeasuredRates& rates, std::string_view name, std::int64_t elements);

}  // namespace dtcalc
