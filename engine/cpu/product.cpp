#include "engine/cpu/product.hpp"

#include <algorithm>

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t tile_edge = 256;

std::int64_t tiles_of(std::int64_t size) { return (size + tile_edge - 1) / tile_edge; }

}  // namespace

template <class T>
void product(Context& context, Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b,
             T* c, bool accumulate) {
  const std::int64_t lda = layout == Layout::tn ? m : k;
  const std::int64_t ldb = layout == Layout::nt ? k : n;
  const std::int64_t row_tiles = tiles_of(m), column_tiles = tiles_of(n);
  context.pool.parallel_items(row_tiles * column_tiles, [&](std::int64_t item, int worker) {
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
