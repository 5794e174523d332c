// The arena on the GPU and pinned memory beside it. Called by the executor and by measurements.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "costmodel/error.hpp"

namespace dtcalc::cuda {

/// One allocation of device memory, filled with poison: 0xFF in every byte is a NaN in fp32, bf16 and fp16.
class DeviceMemory {
 public:
  static Result<DeviceMemory> make(std::int64_t bytes);
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceMemory();

  std::byte* data() const { return data_; }
  std::int64_t size() const { return size_; }
  /// Bytes from the start up to and including the last one that is not poison. Waits for the GPU.
  Result<std::int64_t> touched() const;

 private:
  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

/// Host memory that copies to and from the GPU can run beside the host.
class PinnedMemory {
 public:
  static Result<PinnedMemory> make(std::int64_t bytes);
  PinnedMemory() = default;
  PinnedMemory(PinnedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~PinnedMemory();

  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
};

}  // namespace dtcalc::cuda
