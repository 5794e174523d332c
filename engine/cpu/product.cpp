#include "engine/cpu/product.hpp"

#include <algorithm>

namespace dtcalc::cpu {
namespace {

/// Tiles of the output. Measured on two cores of an EPYC 9004: Eigen reaches 90 to 95 % of its rate on whole matrices
/// with tiles of 256 x 256; `tn` packs its left operand across rows, which costs less in taller tiles.
struct Tiling {
  std::int64_t row_tiles, column_tiles;
};

Tiling tiling(Layout layout, std::int64_t m, std::int64_t n) {
  constexpr std::int64_t columns = 256, least_rows = 64, least_tiles = 4;
  std::int64_t rows = layout == Layout::tn ? 512 : 256;
  const std::int64_t column_tiles = (n + columns - 1) / columns;
  const auto row_tiles = [&] { return (m + rows - 1) / rows; };
  while (row_tiles() * column_tiles < least_tiles && rows > least_rows) rows /= 2;
  return {row_tiles(), column_tiles};
}

}  // namespace

template <class T>
void product(Context& context, Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b,
             T* c, bool accumulate) {
  const std::int64_t lda = layout == Layout::tn ? m : k;
  const std::int64_t ldb = layout == Layout::nt ? k : n;
  const auto [row_tiles, column_tiles] = tiling(layout, m, n);
  context.pool.parallel_items(
      row_tiles * column_tiles, [&, row_tiles = row_tiles, column_tiles = column_tiles](std::int64_t item, int worker) {
        const std::int64_t row = item / column_tiles, column = item % column_tiles;
        const std::int64_t m0 = m * row / row_tiles, m1 = m * (row + 1) / row_tiles;
        const std::int64_t n0 = n * column / column_tiles, n1 = n * (column + 1) / column_tiles;
        const T* const a_tile = a + (layout == Layout::tn ? m0 : m0 * lda);
        const T* const b_tile = b + (layout == Layout::nt ? n0 * ldb : n0);
        context.flop.add(worker,
                         gemm(layout, m1 - m0, n1 - n0, k, a_tile, lda, b_tile, ldb, c + m0 * n + n0, n, accumulate));
      });
}

template void product<float>(Context&, Layout, std::int64_t, std::int64_t, std::int64_t, const float*, const float*,
                             float*, bool);
template void product<double>(Context&, Layout, std::int64_t, std::int64_t, std::int64_t, const double*, const double*,
                              double*, bool);

}  // namespace dtcalc::cpu
