// Tiles in shared memory and the tensor core's 16 x 8 x 16 product (mma.m16n8k16), for 16-bit T: sm_80 and up. Included
// by the attention kernels' sources only.
//
// Fragments, lane l, g = l / 4, t = l % 4:
//   A (16 x 16): a0 (g, 2t..), a1 (g + 8, 2t..), a2 (g, 2t + 8..), a3 (g + 8, 2t + 8..), pairs along k
//   B (16 x 8):  b0 (k = 2t.., n = g), b1 (k = 2t + 8.., n = g)
//   C (16 x 8):  c0 c1 (g, 2t..), c2 c3 (g + 8, 2t..)
// So the C of two neighbouring products is the A of the next: probabilities never leave the registers.
#pragma once

#include <cstdint>

#include "kernels/async_copy.cuh"
#include "kernels/packet.cuh"

namespace dtcalc::cuda {

/// Address of 16-byte chunk `chunk` of row `row`, in elements of T, in a tile of rows of H elements. The chunk is XORed
/// with bits of the row, as many as the row's chunks divide by, so that the eight rows that one ldmatrix reads lie in
/// different banks for every H that 16 divides.
template <int H>
__device__ constexpr int tile_offset(int row, int chunk) {
  constexpr int chunks = H / 8;
  constexpr int group = (chunks & -chunks) < 8 ? (chunks & -chunks) : 8;
  return (row * chunks + (chunk ^ ((row / (8 / group)) & (group - 1)))) * 8;
}

/// Starts copying rows [first, first + R) of a matrix (rows, H) whose rows lie `stride` elements apart; rows from
/// `rows` on are zeros.
template <int R, int H, int threads, class T>
__device__ void copy_tile(T* to, const T* from, int stride, int first, int rows) {
  constexpr int chunks = H / 8;
  const int t = static_cast<int>(threadIdx.x);
  if constexpr (threads % (8 * chunks) == 0) {
    // A thread keeps its chunk, and its place in the swizzle, from row to row: one address on either side.
    constexpr int step = threads / chunks;
    const T* source = from + std::int64_t{first + t / chunks} * stride + t % chunks * 8;
    T* const target = to + tile_offset<H>(t / chunks, t % chunks);
    const int left = rows - first - t / chunks;
#pragma unroll
    for (int row = 0; row < R; row += step) {
      copy_async(target + row * H, row < left ? source : from, row < left);
      source += step * stride;
    }
  } else {
#pragma unroll 2
    for (int i = t; i < R * chunks; i += threads) {
      const int row = i / chunks, chunk = i % chunks;
      const bool valid = first + row < rows;
      copy_async(to + tile_offset<H>(row, chunk), from + (valid ? std::int64_t{first + row} * stride : 0) + chunk * 8,
                 valid);
    }
  }
}

__device__ inline void load_matrices(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// Where this lane's 16 bytes of a fragment lie, for the fragment at row 0 and step 0 of a tile of rows of H:
/// everything else is one XOR and an immediate, which keeps the addresses of unrolled loops out of the registers. The
/// tile begins at a multiple of 128 bytes.
template <int H>
struct LaneAddress {
  std::uint32_t address;
  __device__ LaneAddress(const void* tile, int row, int chunk)
      : address(shared_address(tile) + 2 * static_cast<std::uint32_t>(tile_offset<H>(row, chunk))) {}
  /// `row` a multiple of 8, `step` counts 16 columns.
  __device__ std::uint32_t at(int row, int step) const {
    constexpr int chunks = H / 8;
    constexpr int group = (chunks & -chunks) < 8 ? (chunks & -chunks) : 8;
    return (address ^ (2 * step % group * 16)) + (2 * step / group * group * 16 + row * H * 2);
  }
};

// Fragments at `row` and 16-column `step` of a tile: A, rows [row, row + 16).
template <int H>
__device__ LaneAddress<H> lane_of_a(const void* tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return {tile, lane % 16, lane / 16};
}
// B of two neighbouring products from a tile (n, k), n in [row, row + 16): the first has b[0], b[1], the second b[2],
// b[3].
template <int H>
__device__ LaneAddress<H> lane_of_b(const void* tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return {tile, lane / 16 * 8 + lane % 8, lane / 8 % 2};
}
// The same from a tile (k, n), k in [row, row + 16), with load_matrices_transposed.
template <int H>
__device__ LaneAddress<H> lane_of_b_transposed(const void* tile) {
  return lane_of_a<H>(tile);
}

/// c += a b.
template <class T>
__device__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);
template <>
__device__ inline void multiply_add<bf16>(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                          std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply_add<fp16>(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                          std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two floats rounded to T in one register, `low` first in memory.
template <class T>
__device__ std::uint32_t pack(float low, float high);
template <>
__device__ inline std::uint32_t pack<bf16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
template <>
__device__ inline std::uint32_t pack<fp16>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// The A fragment of a product that follows from the C fragments of two neighbouring ones.
template <class T>
__device__ void as_a(std::uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = pack<T>(left[0], left[1]);
  a[1] = pack<T>(left[2], left[3]);
  a[2] = pack<T>(right[0], right[1]);
  a[3] = pack<T>(right[2], right[3]);
}

}  // namespace dtcalc::cuda
