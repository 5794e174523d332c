// The laws of time: seconds of one kernel from its FLOPs, bytes and shape.
//
// Of a datasheet, products follow product_law (tiles and waves), fused attention attention_law, everything else the
// bytes it moves; a device of unknown architecture has the roofline max(FLOP / rate, bytes / bandwidth). A profile made
// by `dtcalc measure` holds measured points of each kernel: measured_rates interpolates them. docs/time.md has the
// equations.
#pragma once

#include "costmodel/evaluate/product_law.hpp"
#include "costmodel/evaluate/sizes.hpp"

namespace dtcalc {

enum class Bound : std::uint8_t { compute, memory, measured, communication };

/// Without initializers: an evaluation has room for kMaxDistinctKernels of them.
struct KernelCost {
  double flop, read_bytes, written_bytes;
  double seconds;     ///< without launch
  double sent_bytes;  ///< of a collective, by this rank
  Bound bound;
};

/// Cost of a kernel that is no collective; `values` from evaluate_extents.
KernelCost kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes, const std::int64_t* values);

/// Seconds per element of the loop called `name`, interpolated from the measured points; 0 if there are none.
double interpolated_loop(const MeasuredRates& rates, std::string_view name, std::int64_t elements);

}  // namespace dtcalc
