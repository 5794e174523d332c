// Weight gradients of the norms: a sum over rows, taken over a fixed number of row blocks side by side and joined in
// their order, so that the bits do not depend on the number of threads. Included by norm.cpp and head_norm_rope.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// Enough for the cores of one machine, few enough that joining them is cheap.
inline constexpr std::int64_t max_row_blocks = 32;

constexpr std::int64_t row_blocks(std::int64_t rows) { return std::min(rows, max_row_blocks); }
constexpr std::int64_t row_block_begin(std::int64_t block, std::int64_t rows) {
  return rows * block / row_blocks(rows);
}

/// sum[c] += partials[0][c] + … + partials[blocks - 1][c]; `partials` (blocks, columns) with the given distance between
/// rows.
template <class T>
void join_partials(Context& context, std::int64_t blocks, std::int64_t columns, const T* partials, std::int64_t stride,
                   T* sum) {
  context.pool.parallel_for(columns, 256, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      const T* const partial = partials + block * stride;
#pragma omp simd
      for (std::int64_t c = begin; c < end; ++c) sum[c] += partial[c];
    }
  });
}

}  // namespace dtcalc::cpu
