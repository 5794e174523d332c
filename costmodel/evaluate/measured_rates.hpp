// The measured points of a calibrated profile, sorted once when the profile is loaded, and the rates between them.
//
// The loader builds it (`index_measurements`); `kernel_cost` reads it for every kernel of every evaluation, so a
// look-up compares no text and scans no table: a law is a number (`law_id`), an axis is searched by halving.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "costmodel/lower/contract.hpp"

namespace dtcalc {

struct Device;

/// Measured products of one law on the grid of all sizes that occur; a corner that was too slow to measure is empty.
struct ProductGrid {
  std::array<std::vector<std::int64_t>, 3> sizes;  ///< m, n, k: distinct, ascending
  std::array<std::vector<double>, 3> log_sizes;
  /// Of (m, n, k), k fastest: FLOP/s, or measured time over the law's; NaN where nothing was measured.
  std::vector<double> log_value;
};

/// Measured passes of one loop.
struct LoopCurve {
  std::vector<std::int64_t> elements;  ///< ascending
  std::vector<double> log_elements, log_seconds_per_element;
};

class MeasuredRates {
 public:
  explicit MeasuredRates(const Device& device);

  /// FLOP/s of a product, piecewise linear in the logarithm of every size and constant beyond the grid; 0 if the law
  /// was not measured.
  double product_rate(LawId law, std::int64_t m, std::int64_t n, std::int64_t k) const;

  /// Matrix products of a GPU whose tiles are known: measured time over that of product_law, interpolated alike. The
  /// law knows where one more tile takes one more wave, which no grid of points would show. 0 if not measured, and on
  /// other devices. Products whose rows are no multiples of 16 bytes have points of their own.
  double product_factor(LawId law, std::int64_t m, std::int64_t n, std::int64_t k) const;

  /// Seconds per element of a loop, interpolated alike; 0 if the law was not measured.
  double loop_seconds(LawId law, std::int64_t elements) const;

 private:
  double interpolated(const ProductGrid& grid, std::int64_t m, std::int64_t n, std::int64_t k) const;
  int element_half_bytes_ = 0;
  bool corrects_ = false;  ///< the grids of matrix products hold times over the law's
  std::array<ProductGrid, kLaws> products_;
  std::array<LoopCurve, kLaws> loops_;
};

/// Makes `device.rates` from its products and loops; null for a device without measured products. To be called after
/// either changed.
void index_measurements(Device& device);

}  // namespace dtcalc
