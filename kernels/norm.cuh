// What the forward and the backward of the norms share. Included by their sources only.
#pragma once

#include "kernels/norm.hpp"
#include "kernels/reduce.cuh"

namespace dtcalc::cuda {

/// The options as a kernel is handed them.
struct NormFactors {
  float epsilon;
  float inverse;  ///< 1 / hidden
  float offset;   ///< on every stored gamma
  bool layer_norm;
};
inline NormFactors norm_factors(const NormOptions& o, std::int64_t hidden) {
  return {static_cast<float>(o.epsilon), static_cast<float>(1.0 / static_cast<double>(hidden)),
          o.weight_offset ? 1.0F : 0.0F, o.kind == Norm::layer_norm};
}

/// Rows [begin, end) are those of the block: slices that differ by one row at most.
struct Slice {
  int begin, end;
};
__device__ inline Slice slice_of(int rows) {
  const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
  const int each = rows / blocks, more = rows % blocks;
  const int begin = block * each + (block < more ? block : more);
  return {begin, begin + each + (block < more ? 1 : 0)};
}

/// Threads of the kernels for rows that are too long for registers, or not made of whole packets: a block a row, which
/// is read from the cache once per pass.
inline constexpr int plain_norm_threads = 512;

/// Whole warps that hold a row of packets, `each` a thread.
inline int norm_threads(std::int64_t packets, int each) {
  return static_cast<int>(ceil_div(packets, std::int64_t{each} * warp_size)) * warp_size;
}

}  // namespace dtcalc::cuda
