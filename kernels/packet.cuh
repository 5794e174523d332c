// 16-byte packets of T and their loads and stores, scalar conversions, and the sizes of launches. Included by the
// kernels' sources only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/context.hpp"

namespace dtcalc::cuda {

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__host__ __device__ inline float to_float(fp16 x) { return __half2float(x); }

template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ inline bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__host__ __device__ inline fp16 from_float<fp16>(float x) {
  return __float2half_rn(x);
}

/// Elements of a whole packet.
template <class T>
inline constexpr int packet_width = 16 / static_cast<int>(sizeof(T));

__device__ inline float low_half(std::uint32_t word, bf16) { return __uint_as_float(word << 16); }
__device__ inline float high_half(std::uint32_t word, bf16) { return __uint_as_float(word & 0xFFFF0000U); }
__device__ inline float low_half(std::uint32_t word, fp16) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(word & 0xFFFFU)));
}
__device__ inline float high_half(std::uint32_t word, fp16) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(word >> 16)));
}
/// Two neighbours rounded at once, by one instruction.
__device__ inline std::uint32_t pair_of(float low, float high, bf16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}
__device__ inline std::uint32_t pair_of(float low, float high, fp16) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}
__device__ inline std::uint32_t pair_sum(std::uint32_t a, std::uint32_t b, bf16) {
  const __nv_bfloat162 sum =
      __hadd2(*reinterpret_cast<const __nv_bfloat162*>(&a), *reinterpret_cast<const __nv_bfloat162*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&sum);
}
__device__ inline std::uint32_t pair_sum(std::uint32_t a, std::uint32_t b, fp16) {
  const __half2 sum = __hadd2(*reinterpret_cast<const __half2*>(&a), *reinterpret_cast<const __half2*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&sum);
}
__device__ inline std::uint32_t bits_of(bf16 x) { return __bfloat16_as_ushort(x); }
__device__ inline std::uint32_t bits_of(fp16 x) { return __half_as_ushort(x); }

/// W neighbours that are loaded and stored together: W = packet_width<T>, or 1 where rows or pointers are not aligned.
/// 16-bit numbers are kept in pairs, since the compiler gives each variable a 32-bit register.
template <class T, int W>
struct alignas(W * sizeof(T)) Packet {
  static constexpr bool paired = sizeof(T) == 2 && W % 2 == 0;
  std::conditional_t<paired, std::uint32_t, T> word[paired ? W / 2 : W];

  __device__ float operator[](int i) const {
    if constexpr (paired) {
      return i % 2 == 0 ? low_half(word[i / 2], T{}) : high_half(word[i / 2], T{});
    } else {
      return to_float(word[i]);
    }
  }
  __device__ void put(int i, T x) {
    if constexpr (paired) {
      word[i / 2] = i % 2 == 0 ? (word[i / 2] & 0xFFFF0000U) | bits_of(x) : (word[i / 2] & 0xFFFFU) | bits_of(x) << 16;
    } else {
      word[i] = x;
    }
  }
  __device__ void set(int i, float x) { put(i, from_float<T>(x)); }
  /// All of them: half the instructions of one by one.
  __device__ void set(const float (&x)[W]) {
    if constexpr (paired) {
#pragma unroll
      for (int i = 0; i < W; i += 2) word[i / 2] = pair_of(x[i], x[i + 1], T{});
    } else {
#pragma unroll
      for (int i = 0; i < W; ++i) word[i] = from_float<T>(x[i]);
    }
  }
  __device__ void get(float (&x)[W]) const {
#pragma unroll
    for (int i = 0; i < W; ++i) x[i] = (*this)[i];
  }
};

/// The sums of the elements, rounded to T. Pairs are added by one instruction, which rounds once: the bits are those of
/// a sum in float that is then rounded, since that one is exact unless the lesser number is below a quarter of the
/// result's last place.
template <class T, int W>
__device__ Packet<T, W> sum_of(const Packet<T, W>& a, const Packet<T, W>& b) {
  Packet<T, W> sum;
  if constexpr (Packet<T, W>::paired) {
#pragma unroll
    for (int i = 0; i < W / 2; ++i) sum.word[i] = pair_sum(a.word[i], b.word[i], T{});
  } else {
#pragma unroll
    for (int i = 0; i < W; ++i) sum.set(i, a[i] + b[i]);
  }
  return sum;
}

/// The same, of data that nobody reads again soon (streaming), or that is used again (default policy).
enum class Reuse { no, yes };

template <int W, Reuse reuse = Reuse::no, class T>
__device__ Packet<T, W> load(const T* from) {
  if constexpr (W * sizeof(T) == 16) {
    uint4 bits;
    if constexpr (reuse == Reuse::no) {
      bits = __ldcs(reinterpret_cast<const uint4*>(from));
    } else {
      bits = *reinterpret_cast<const uint4*>(from);
    }
    return *reinterpret_cast<const Packet<T, W>*>(&bits);
  } else {
    return *reinterpret_cast<const Packet<T, W>*>(from);
  }
}

template <Reuse reuse = Reuse::yes, class T, int W>
__device__ void store(T* to, const Packet<T, W>& packet) {
  if constexpr (W * sizeof(T) == 16 && reuse == Reuse::no) {
    __stcs(reinterpret_cast<uint4*>(to), *reinterpret_cast<const uint4*>(&packet));
  } else {
    *reinterpret_cast<Packet<T, W>*>(to) = packet;
  }
}

/// 2^x to within 2 ulp, results below 2^-126 are 0: one instruction, where exp2f takes four to keep those.
__device__ inline float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
inline constexpr float log2_e = 1.44269504089F, ln_2 = 0.69314718056F;

/// Whether every pointer may be accessed in 16-byte packets; null counts as aligned.
template <class... Pointers>
bool aligned(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

__host__ __device__ constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Calls body(std::integral_constant<int, W>) with whole packets where `packets` says so, else with single elements.
template <class T, class Body>
auto with_width(bool packets, Body body) {
  if (packets) return body(std::integral_constant<int, packet_width<T>>{});
  return body(std::integral_constant<int, 1>{});
}

/// Lets a kernel have more dynamic shared memory than the 48 KiB that every kernel may.
template <class Kernel>
cudaError_t allow_shared(Kernel kernel, std::int64_t bytes) {
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}

/// Of the current device.
inline cudaError_t device_attribute(cudaDeviceAttr attribute, int& value) {
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  return status == cudaSuccess ? cudaDeviceGetAttribute(&value, attribute, device) : status;
}

/// x (one grid dimension) holds 2^31 - 1 blocks: more than any tensor has.
inline dim3 grid_of(std::int64_t blocks) { return dim3(static_cast<unsigned>(blocks)); }

}  // namespace dtcalc::cuda
