// Philox4x32-10 on the device, the numbers of engine/cpu/philox.cpp. Included by the kernels' sources only.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/dropout.hpp"
#include "kernels/packet.cuh"

namespace dtcalc::cuda {

/// The bijection of Salmon, Moraes, Dror, Shaw (SC 2011), section 5.2.
__host__ __device__ inline uint4 philox4x32_10(uint4 c, uint2 key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * c.x;
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * c.z;
    c = make_uint4(static_cast<std::uint32_t>(product1 >> 32) ^ c.y ^ key.x, static_cast<std::uint32_t>(product1),
                   static_cast<std::uint32_t>(product0 >> 32) ^ c.w ^ key.y, static_cast<std::uint32_t>(product0));
    key.x += 0x9E3779B9;
    key.y += 0xBB67AE85;
  }
  return c;
}

/// What a kernel with dropout is handed: the mask's name, the threshold below which a 32-bit number drops its element,
/// and the factor on the others.
struct Dropout {
  DropoutKey name;
  std::uint32_t threshold = 0;
  float keep = 1;
};

inline Dropout make_dropout(double p, const DropoutKey& key) {
  const double scaled = std::nearbyint(std::ldexp(p, 32));
  return {key, scaled < 4294967295.0 ? static_cast<std::uint32_t>(scaled) : 0xFFFFFFFFU,
          static_cast<float>(1 / (1 - p))};
}

/// The stream of 32-bit numbers of a mask: element i is word i % 4 of block i / 4.
struct DropoutStream {
  uint2 key, counter_high;
  std::uint32_t threshold;
  float keep;

  __device__ uint4 block(std::uint64_t index) const {
    return philox4x32_10(make_uint4(static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                    counter_high.x, counter_high.y),
                         key);
  }
  __device__ float factor(std::uint32_t number) const { return number < threshold ? 0.0F : keep; }
  __device__ float factor_of(std::uint64_t element) const {
    const uint4 numbers = block(element / 4);
    const unsigned word = element % 4;
    return factor(word == 0 ? numbers.x : word == 1 ? numbers.y : word == 2 ? numbers.z : numbers.w);
  }
  /// x[i] *= the mask's element first + i.
  template <int W>
  __device__ void apply(std::uint64_t first, float (&x)[W]) const {
    if constexpr (W % 4 == 0) {
      if (first % 4 == 0) {
#pragma unroll
        for (int i = 0; i < W; i += 4) {
          const uint4 numbers = block(first / 4 + i / 4);
          x[i] *= factor(numbers.x);
          x[i + 1] *= factor(numbers.y);
          x[i + 2] *= factor(numbers.z);
          x[i + 3] *= factor(numbers.w);
        }
        return;
      }
    }
#pragma unroll
    for (int i = 0; i < W; ++i) x[i] *= factor_of(first + i);
  }
};

/// The name is hashed by Philox itself; a step in device memory replaces the host's.
__device__ inline DropoutStream make_stream(const Dropout& dropout) {
  const DropoutKey& name = dropout.name;
  const std::uint32_t step = name.state != nullptr ? name.state->step : name.step;
  const uint4 hash =
      philox4x32_10(make_uint4(step, name.micro_batch, name.layer, name.op),
                    make_uint2(static_cast<std::uint32_t>(name.seed), static_cast<std::uint32_t>(name.seed >> 32)));
  return {make_uint2(hash.x, hash.y), make_uint2(hash.z, hash.w), dropout.threshold, dropout.keep};
}

/// The same, computed once per block. Every thread of the block must call it.
__device__ inline DropoutStream block_stream(const Dropout& dropout) {
  __shared__ DropoutStream stream;
  if (threadIdx.x == 0 && threadIdx.y == 0) stream = make_stream(dropout);
  __syncthreads();
  return stream;
}

}  // namespace dtcalc::cuda
