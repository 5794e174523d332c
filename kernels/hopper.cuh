// What sm_90a adds, as functions: mbarriers, the copy engine for tensors (TMA), and products of a warpgroup (wgmma).
// Included by the sources of the Hopper kernels only. Instructions, descriptors and swizzles: PTX ISA 8.0, sections
// "Parallel synchronization", "cp.async.bulk.tensor" and "wgmma".
//
// Tiles in shared memory are made of panels: rows of 64 elements of T (128 bytes), as the copy engine writes them with
// the 128-byte swizzle: 16-byte chunk c of row r lies at chunk c ^ (r % 8). A panel begins at a multiple of 1024 bytes.
// wgmma reads such a panel in both directions: along its rows (operands whose inner dimension is the head, as Q and K
// in Q K^T) and across them (operands whose inner dimension is the row, as V in P V).
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/tensor_core.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define DTCALC_ON_SM90A 1
#else
#define DTCALC_ON_SM90A 0
#endif

namespace dtcalc::cuda {

inline constexpr int warpgroup_size = 128;
inline constexpr int panel_columns = 64;  ///< elements of a row of a panel: the 128 bytes of the swizzle
inline constexpr int panel_row_bytes = 128;

#if DTCALC_ON_SM90A

// --- registers of a warpgroup -----------------------------------------------------------------------------------

template <int registers>
__device__ void registers_grow() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(registers));
}
template <int registers>
__device__ void registers_shrink() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(registers));
}

// --- barriers ---------------------------------------------------------------------------------------------------

/// A barrier in shared memory (8 bytes) that a phase ends when `count` arrivals and all announced bytes have come.
__device__ inline void barrier_make(std::uint32_t barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(count) : "memory");
}
/// Makes initialised barriers visible to the copy engine; a __syncthreads follows.
__device__ inline void barriers_publish() { asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory"); }
__device__ inline void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
}
/// Arrives and announces bytes that the copy engine will bring.
__device__ inline void barrier_expect(std::uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier), "r"(bytes) : "memory");
}
/// Until the phase of this parity has ended; a fresh barrier counts as after a phase of parity 1.
__device__ inline void barrier_wait(std::uint32_t barrier, int parity) {
  std::uint32_t done = 0;
  while (done == 0) {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
  }
}
/// The numbered barriers of a block, among `threads` threads that arrive, some of whom wait. 0 is __syncthreads'.
__device__ inline void named_wait(int number, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(number), "r"(threads) : "memory");
}
__device__ inline void named_arrive(int number, int threads) {
  asm volatile("bar.arrive %0, %1;\n" ::"r"(number), "r"(threads) : "memory");
}

/// Which slot of a ring the next tile takes, and the parity of its barriers' phase.
template <int stages>
struct Ring {
  int slot = 0, parity = 0;
  __device__ void next() {
    if (++slot == stages) slot = 0, parity ^= 1;
  }
};

// --- the copy engine --------------------------------------------------------------------------------------------

/// A box of (batch, row, head, column) of a tensor to shared memory; what lies outside the tensor arrives as zeros.
__device__ inline void tensor_load(std::uint32_t to, const CUtensorMap& map, std::uint32_t barrier, int column,
                                   int head, int row, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
      "[%2];\n" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(column), "r"(head), "r"(row), "r"(batch)
      : "memory");
}
/// The way back; what lies outside the tensor is not written.
__device__ inline void tensor_store(const CUtensorMap& map, std::uint32_t from, int column, int head, int row,
                                    int batch) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];\n" ::"l"(&map),
               "r"(from), "r"(column), "r"(head), "r"(row), "r"(batch)
               : "memory");
}
__device__ inline void stores_commit() { asm volatile("cp.async.bulk.commit_group;\n" ::: "memory"); }
/// Until this thread's stores but for the last `pending` have read their shared memory; until all have been written.
template <int pending>
__device__ void stores_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;\n" ::"n"(pending) : "memory");
}
__device__ inline void stores_wait() { asm volatile("cp.async.bulk.wait_group 0;\n" ::: "memory"); }
/// `bytes` neighbouring bytes from shared to device memory; there, floats are added to what they find. Both aligned to
/// 16 bytes.
__device__ inline void bulk_store(void* to, std::uint32_t from, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n" ::"l"(to), "r"(from), "r"(bytes)
               : "memory");
}
__device__ inline void bulk_add(float* to, std::uint32_t from, int bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;\n" ::"l"(to), "r"(from),
               "r"(bytes)
               : "memory");
}
/// A count in device memory by which blocks follow one another: what a thread had written when it counted up, also by
/// the copy engine, is there for who has waited for the count.
__device__ inline void count_up(unsigned* count) {
  asm volatile("fence.proxy.async.global;\nred.release.gpu.global.add.u32 [%0], 1;\n" ::"l"(count) : "memory");
}
__device__ inline void count_wait(const unsigned* count, unsigned expected) {
  unsigned found = 0;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];\n" : "=r"(found) : "l"(count) : "memory");
  } while (found < expected);
  asm volatile("fence.proxy.async.global;\n" ::: "memory");
}
/// Orders this thread's ordinary writes to shared memory before reads by the copy engine or wgmma that follow a
/// barrier.
__device__ inline void fence_to_engines() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }

/// Four 8 x 8 matrices of 16-bit elements, as fragments of C rounded to pairs hold them, to the rows at which this lane
/// points: lane l has row l % 8 of matrix l / 8.
__device__ inline void store_matrices(std::uint32_t address, const std::uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};\n" ::"r"(address), "r"(r[0]),
               "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}

// --- wgmma ------------------------------------------------------------------------------------------------------
// A product of a warpgroup is 64 x N x 16. Its accumulators: warp w has rows [16 w, 16 w + 16), and d[4 n + i] of lane
// l is C's fragment of columns [8 n, 8 n + 8) as tensor_core.cuh has it. A from registers is tensor_core.cuh's A.

/// A panel whose rows run along the inner dimension (head): 8 rows lie 1024 bytes apart. 16 columns further is
/// + 32 bytes of the address.
__device__ inline std::uint64_t panel_along(std::uint32_t address) {
  constexpr std::uint64_t fixed = std::uint64_t{1} << 62 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 16;
  return fixed | static_cast<std::uint64_t>(address >> 4 & 0x3FFF);
}
/// Panels whose rows are the inner dimension: 16 rows further is + 2048 bytes; the next 64 columns lie `panel_bytes`
/// on.
template <int panel_bytes>
__device__ std::uint64_t panel_across(std::uint32_t address) {
  constexpr std::uint64_t fixed =
      std::uint64_t{1} << 62 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{panel_bytes >> 4} << 16;
  return fixed | static_cast<std::uint64_t>(address >> 4 & 0x3FFF);
}

/// Before the first product after accumulators or A in registers were written.
__device__ inline void products_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ inline void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
/// Until at most `pending` committed groups run.
template <int pending>
__device__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory");
}
/// Keeps the compiler from moving other uses of accumulators past this place, and from giving the registers of a left
/// operand to others before it: products read them until they are waited for, which the compiler does not know across
/// the end of a loop's body.
template <int N>
__device__ void pin(float (&d)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
}
template <int N>
__device__ void pin(std::uint32_t (&a)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(a[n][i])::"memory");
}

// clang-format off
#define DTCALC_D8(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define DTCALC_D32(d, i) DTCALC_D8(d, i), DTCALC_D8(d, i + 8), DTCALC_D8(d, i + 16), DTCALC_D8(d, i + 24)
#define DTCALC_D64(d) DTCALC_D32(d, 0), DTCALC_D32(d, 32)
#define DTCALC_R32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define DTCALC_R64 \
  DTCALC_R32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
// clang-format on

/// d (64 x N) = or += a b, for N of 64 or 128: a from shared memory or registers, b from shared memory, both along
/// their rows or, `across`, with their rows as the inner dimension. `add` false begins a sum.
template <class T, int N>
struct Product;

// %A … %F: the numbers of the operands after the accumulators.
#define DTCALC_PRODUCT(T, NAME, N, REGISTERS, OPERANDS, A, B, C, D, E, F, G)                                          \
  template <>                                                                                                         \
  struct Product<T, N> {                                                                                              \
    template <bool a_across, bool b_across>                                                                           \
    static __device__ void of_shared(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool add) {                 \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " C ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32." NAME \
                   "." NAME " {" REGISTERS "}, " A ", " B ", p, 1, 1, " D ", " E ";\n}\n"                             \
                   : OPERANDS                                                                                         \
                   : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(static_cast<int>(a_across)),                     \
                     "n"(static_cast<int>(b_across)));                                                                \
    }                                                                                                                 \
    template <bool across>                                                                                            \
    static __device__ void of_registers(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b, bool add) {  \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " F ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32." NAME \
                   "." NAME " {" REGISTERS "}, {" A ", " B ", " C ", " D "}, " E ", p, 1, 1, " G ";\n}\n"             \
                   : OPERANDS                                                                                         \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),                  \
                     "n"(static_cast<int>(across)));                                                                  \
    }                                                                                                                 \
  };
#define DTCALC_PRODUCTS(T, NAME)                                                                             \
  DTCALC_PRODUCT(T, NAME, 64, DTCALC_R32, DTCALC_D32(d, 0), "%32", "%33", "%34", "%35", "%36", "%37", "%38") \
  DTCALC_PRODUCT(T, NAME, 128, DTCALC_R64, DTCALC_D64(d), "%64", "%65", "%66", "%67", "%68", "%69", "%70")
DTCALC_PRODUCTS(bf16, "bf16")
DTCALC_PRODUCTS(fp16, "f16")
#undef DTCALC_PRODUCTS
#undef DTCALC_PRODUCT
#undef DTCALC_R64
#undef DTCALC_R32
#undef DTCALC_D64
#undef DTCALC_D32
#undef DTCALC_D8

#endif  // DTCALC_ON_SM90A

}  // namespace dtcalc::cuda
