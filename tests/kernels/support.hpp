// What the tests of the CUDA kernels share: device buffers that are poisoned and guarded, the element types on the
// host, and the rule by which results are judged. Each test runs the CPU kernel in double on operands rounded to T; the
// GPU's error may be twice that of the same work in T's precision (the CPU kernel in float, or the rounding of the
// result to T, whichever is more).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/cpu_support.hpp"
#include "kernels/context.hpp"

/// First line of every test here.
#define DTCALC_NEED_GPU() \
  if (const std::string reason = dtcalc::cuda::test::no_gpu(); !reason.empty()) DTCALC_SKIP(reason.c_str())

namespace dtcalc::cuda::test {

using cpu::test::largest;
using cpu::test::random_values;
using Values = std::vector<double>;

inline std::string no_gpu() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) return std::string("no GPU: ") + cudaGetErrorString(status);
  return devices == 0 ? "no GPU" : "";
}

inline void require(cudaError_t status) {
  INFO(cudaGetErrorString(status));
  REQUIRE(status == cudaSuccess);
}

inline double to_double(float x) { return x; }
inline double to_double(bf16 x) { return __bfloat162float(x); }
inline double to_double(fp16 x) { return __half2float(x); }
template <class T>
T from_double(double x) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(x);
  } else if constexpr (std::is_same_v<T, bf16>) {
    return __float2bfloat16_rn(static_cast<float>(x));
  } else {
    return __float2half_rn(static_cast<float>(x));
  }
}

/// Relative distance of a number to its nearest neighbour in T, halved: the most that rounding moves it.
template <class T>
constexpr double half_ulp() {
  return std::is_same_v<T, float> ? 0x1p-24 : std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-11;
}
template <class T>
const char* name_of() {
  return std::is_same_v<T, float> ? "float" : std::is_same_v<T, bf16> ? "bf16" : "fp16";
}

template <class T>
Values rounded(Values values) {
  for (double& value : values) value = to_double(from_double<T>(value));
  return values;
}
template <class T>
Values operands(std::int64_t count, std::uint64_t seed, double size = 1) {
  Values values = random_values(count, seed);
  for (double& value : values) value *= size;
  return rounded<T>(values);
}

/// Body with each element type, by tag: body(T{}).
template <class Body>
void for_types(Body body) {
  const auto one = [&](auto tag) {
    CAPTURE(name_of<decltype(tag)>());
    body(tag);
  };
  one(float{});
  one(bf16{});
  one(fp16{});
}

/// An array on the device, of NaN unless it is given values, between two stretches of guard bytes that `read` looks at.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t count) : count_(static_cast<std::size_t>(count)) { fill(std::vector<T>()); }
  explicit Buffer(const Values& values) : count_(values.size()) {
    std::vector<T> host;
    for (const double value : values) host.push_back(from_double<T>(value));
    fill(host);
  }
  ~Buffer() { cudaFree(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return reinterpret_cast<T*>(static_cast<unsigned char*>(memory_) + guard); }
  Values read() {
    Values values;
    for (const T value : bytes()) values.push_back(to_double(value));
    return values;
  }
  std::vector<T> bytes() {
    require(cudaDeviceSynchronize());
    std::vector<unsigned char> host(2 * guard + count_ * sizeof(T));
    require(cudaMemcpy(host.data(), memory_, host.size(), cudaMemcpyDeviceToHost));
    const bool untouched = std::all_of(host.begin(), host.begin() + guard, [](auto b) { return b == 0xFF; }) &&
                           std::all_of(host.end() - guard, host.end(), [](auto b) { return b == 0xFF; });
    REQUIRE(untouched);
    std::vector<T> values(count_);
    if (count_ > 0) std::memcpy(static_cast<void*>(values.data()), host.data() + guard, count_ * sizeof(T));
    return values;
  }

 private:
  static constexpr std::ptrdiff_t guard = 256;
  void fill(const std::vector<T>& host) {
    const std::size_t bytes = 2 * guard + count_ * sizeof(T);
    require(cudaMalloc(&memory_, bytes));
    require(cudaMemset(memory_, 0xFF, bytes));
    if (!host.empty()) require(cudaMemcpy(data(), host.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::size_t count_;
  void* memory_ = nullptr;
};

/// 32-bit integers: tokens, targets.
class Indices {
 public:
  explicit Indices(const std::vector<std::int32_t>& values) {
    require(cudaMalloc(&memory_, values.size() * 4 + 4));
    require(cudaMemcpy(memory_, values.data(), values.size() * 4, cudaMemcpyHostToDevice));
  }
  ~Indices() { cudaFree(memory_); }
  Indices(const Indices&) = delete;
  Indices& operator=(const Indices&) = delete;
  const std::int32_t* data() const { return static_cast<const std::int32_t*>(memory_); }

 private:
  void* memory_ = nullptr;
};

/// A context on the default stream whose workspace has exactly the bytes asked for, full of NaN.
class Launch {
 public:
  explicit Launch(std::int64_t workspace_bytes = 0) : bytes_(workspace_bytes), memory_((workspace_bytes + 3) / 4) {}
  Context context() { return {nullptr, memory_.data(), bytes_}; }
  void check() { memory_.bytes(); }

 private:
  std::int64_t bytes_;
  Buffer<float> memory_;
};

/// Half the distance of T's least numbers: what rounding moves a result by that is next to nothing.
template <class T>
constexpr double half_least() {
  return std::is_same_v<T, float> ? 0x1p-150 : std::is_same_v<T, bf16> ? 0x1p-134 : 0x1p-25;
}

/// Holds `got`, stored in T, to the exact result; `reference` is the same work in the precision that is allowed.
/// `additions` in sequence, each rounded to T, wander off like the square root of their number; `least` is what numbers
/// that cancel leave of float's rounding.
template <class T>
void check(const char* what, const Values& got, const Values& exact, const Values& reference, double additions = 1,
           double least = 0) {
  CAPTURE(what, name_of<T>());
  const double error = cpu::test::error(got, exact);
  const double allowed = std::max({cpu::test::error(reference, exact),
                                   half_ulp<T>() * std::sqrt(additions) * largest(exact), half_least<T>(), least});
  CAPTURE(error / allowed);
  CHECK(error <= 2 * allowed);
}

/// CPU results in float as doubles.
inline Values widened(const std::vector<float>& values) { return Values(values.begin(), values.end()); }
inline Values widened(const Values& values) { return values; }

}  // namespace dtcalc::cuda::test
