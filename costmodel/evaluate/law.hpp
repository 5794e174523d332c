// The laws of time: seconds of one kernel from its FLOPs, bytes and shape.
//
// Of a datasheet, products follow product_law (tiles and waves), fused attention attention_law, everything else the
// bytes it moves; a device of unknown architecture has the roofline max(FLOP / rate, bytes / bandwidth). A profile made
// by `dtcalc measure` holds measured points of each kernel: measured_rates interpolates them. docs/time.md has the
// equations.
#pragma once

#include <array>

#include "costmodel/evaluate/product_law.hpp"
#include "costmodel/evaluate/sizes.hpp"

namespace dtcalc {

enum class Bound : std::uint8_t { compute, memory, measured, communication };

struct KernelCost {
  std::int64_t flop = 0;
  std::int64_t read_bytes = 0, written_bytes = 0;
  double seconds = 0;  ///< without launch
  Bound bound = Bound::compute;
};

/// Times of the products of one evaluation: a block has a few shapes, each many times (query, key and value; the same
/// shapes in the backward pass; the same in every kind of block).
class ProductMemo {
 public:
  struct Entry {
    std::int64_t m = -1, n = 0, k = 0, batch = 0, bytes = 0;
    double per_flop = 0;
    ProductTime time;
  };
  /// The place of a product; its time counts when the six numbers are those asked for.
  Entry& at(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t bytes) {
    const auto mixed = static_cast<std::uint64_t>(m + 3 * n + 7 * k + bytes) * 0x9e3779b97f4a7c15u;
    return entries_[mixed >> 59];
  }

 private:
  std::array<Entry, 32> entries_;
};

/// Cost of one kernel; `values` from evaluate_extents.
KernelCost kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes, const std::int64_t* values,
                       ProductMemo& memo);

/// Seconds per element of the loop called `name`, interpolated from the measured points; 0 if there are none.
double interpolated_loop(const MeasuredRates& rates, std::string_view name, std::int64_t elements);

}  // namespace dtcalc
