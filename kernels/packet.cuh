// 16-byte packets of T and their loads and stores, scalar conversions, and the sizes of launches. Included by the
// kernels' sources only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

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

/// W neighbours that are loaded and stored together: W = packet_width<T>, or 1 where rows or pointers are not aligned.
template <class T, int W>
struct alignas(W * sizeof(T)) Packet {
  T value[W];
  __device__ float operator[](int i) const { return to_float(value[i]); }
  __device__ void set(int i, float x) { value[i] = from_float<T>(x); }
};

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

/// Whether every pointer may be accessed in 16-byte packets; null counts as aligned.
template <class... Pointers>
bool aligned(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Calls body(std::integral_constant<int, W>) with whole packets where `packets` says so, else with single elements.
template <class T, class Body>
auto with_width(bool packets, Body body) {
  if (packets) return body(std::integral_constant<int, packet_width<T>>{});
  return body(std::integral_constant<int, 1>{});
}

/// x (one grid dimension) holds 2^31 - 1 blocks: more than any tensor has.
inline dim3 grid_of(std::int64_t blocks) { return dim3(static_cast<unsigned>(blocks)); }

}  // namespace dtcalc::cuda
