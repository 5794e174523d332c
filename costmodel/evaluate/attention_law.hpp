// The law of fused attention on a GPU: a stack's kernel reaches a published share of the peak on long sequences; tiles,
// waves and traffic take the rest on short ones. kernel_cost calls it.
#pragma once

#include "costmodel/evaluate/product_law.hpp"

namespace dtcalc {

/// Share of the device's dense peak that the forward or backward kernel reaches on long sequences, counting the pairs
/// it computes; with its source in the table.
double flash_fraction(FlashKernel kernel, GpuArchitecture architecture, std::int64_t head_size, bool backward);

struct FlashShape {
  std::int64_t queries, keys;
  std::int64_t heads;  ///< batch times query heads
  std::int64_t head_size;
  std::int64_t query_tile;  ///< of the stack's kernel
  double imbalance = 1;     ///< of its passes, where they are known (attention_passes.hpp)
};

/// `flop` counts two products forward and five backward over whole tiles, `bytes` the operands once.
ProductTime flash_time(const DeviceRates& rates, const FlashShape& shape, double flop, double bytes, bool backward);

}  // namespace dtcalc
