// What the passes of attention for Hopper share: how work is dealt to the blocks, the maps of the operands, tiles of
// results on their way to memory. Included by attention_hopper_forward.cuh and attention_hopper_backward.cuh.
//
// A block stays on its multiprocessor and takes one piece of work after the other, so that the copy engine fetches the
// next piece while this one is finished. Its first warpgroup feeds the copy engine, the others ("consumers") own 64
// rows each and compute.
#pragma once

#include "kernels/attention_score.cuh"
#include "kernels/hopper.cuh"

namespace dtcalc::cuda {

inline constexpr int owned_rows = 64;  ///< of a consumer: the rows of a wgmma

/// Pieces of work in the order in which they are dealt: heads side by side, the longest pieces of a head first,
/// `section` heads before the next ones: several pieces of a head at a time find each other's operands in the L2 cache.
struct WorkOrder {
  int levels = 0, heads = 0, section = 1;  ///< pieces of a head, heads of all sequences, heads of a section

  __host__ __device__ int count() const { return levels * heads; }
  struct Piece {
    int level, head;
  };
  __device__ Piece piece(int index) const {
    const int begin = index / (section * levels) * section, within = index % (section * levels);
    const int size = min(section, heads - begin);
    return {within / size, begin + within % size};
  }
  /// Of this block's turn `turn`, back and forth so that no block always gets the longer piece; count() or more: none.
  __device__ int index(int turn) const {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    return turn * blocks + (turn % 2 == 0 ? block : blocks - 1 - block);
  }
  __device__ int turns() const { return (count() + static_cast<int>(gridDim.x) - 1) / static_cast<int>(gridDim.x); }
};

#if DTCALC_ON_SM90A

/// Fetches `rows` rows of a head from `row` on into panels.
template <int H, int rows>
__device__ void load_panels(std::uint32_t to, const CUtensorMap& map, std::uint32_t barrier, int head, int row,
                            int batch) {
#pragma unroll
  for (int panel = 0; panel < H / panel_columns; ++panel)
    tensor_load(to + panel * rows * panel_row_bytes, map, barrier, panel * panel_columns, head, row, batch);
}

/// A consumer's 64 x H accumulators times a factor per half (rows g and g + 8), rounded, to its staging panels and from
/// there to the tensor. `barrier` is a named barrier of the consumer's own; `others`: stores of other staging panels
/// that were begun since this one's last.
template <class T, int H, int others>
__device__ void store_rows(const float (&sum)[H / 2], const float (&factor)[2], std::uint32_t staging, int barrier,
                           const CUtensorMap& map, int head, int row, int batch) {
  const int thread = static_cast<int>(threadIdx.x) % warpgroup_size;
  const int lane = thread % 32, g = lane / 4, t = lane % 4;
  if (thread == 0) stores_wait_read<others>();  // of the piece before
  named_wait(barrier, warpgroup_size);
  const std::uint32_t to = staging + (thread / 32 * 16 + g) * panel_row_bytes + t * 4;
#pragma unroll
  for (int n = 0; n < H / 8; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t pair =
          pack<T>(sum[4 * n + 2 * half] * factor[half], sum[4 * n + 2 * half + 1] * factor[half]);
      const std::uint32_t at =
          to + n / 8 * owned_rows * panel_row_bytes + 8 * half * panel_row_bytes + ((n % 8 ^ g) * 16);
      asm volatile("st.shared.b32 [%0], %1;\n" ::"r"(at), "r"(pair) : "memory");
    }
  }
  fence_to_engines();
  named_wait(barrier, warpgroup_size);
  if (thread == 0) {
#pragma unroll
    for (int panel = 0; panel < H / panel_columns; ++panel)
      tensor_store(map, staging + panel * owned_rows * panel_row_bytes, panel * panel_columns, head, row, batch);
    stores_commit();
  }
}

#endif  // DTCALC_ON_SM90A

}  // namespace dtcalc::cuda
