#include "engine/cuda/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "engine/cuda/status.hpp"

namespace dtcalc::cuda {
namespace {

constexpr int kPoison = 0xFF;

std::size_t at_least_one(std::int64_t bytes) { return static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)); }

}  // namespace

Result<DeviceMemory> DeviceMemory::make(std::int64_t bytes) {
  DeviceMemory memory;
  void* data = nullptr;
  if (auto error = error_of(cudaMalloc(&data, at_least_one(bytes)), fmt::format("arena of {} bytes", bytes)))
    return *error;
  memory.data_ = static_cast<std::byte*>(data);
  memory.size_ = bytes;
  if (auto error = error_of(cudaMemset(data, kPoison, at_least_one(bytes)), "poisoning the arena")) return *error;
  return memory;
}

DeviceMemory::~DeviceMemory() {
  if (data_) (void)cudaFree(data_);
}

Result<std::int64_t> DeviceMemory::touched() const {
  constexpr std::int64_t step = 64 << 20;
  std::vector<std::byte> piece(static_cast<std::size_t>(step));
  for (std::int64_t end = size_; end > 0;) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - step);
    if (auto error = error_of(
            cudaMemcpy(piece.data(), data_ + begin, static_cast<std::size_t>(end - begin), cudaMemcpyDeviceToHost),
            "looking at the arena"))
      return *error;
    while (end > begin && piece[static_cast<std::size_t>(end - begin - 1)] == std::byte{kPoison}) --end;
    if (end > begin) return end;
  }
  return std::int64_t{0};
}

Result<PinnedMemory> PinnedMemory::make(std::int64_t bytes) {
  PinnedMemory memory;
  void* data = nullptr;
  if (auto error = error_of(cudaMallocHost(&data, at_least_one(bytes)), "pinned memory")) return *error;
  memory.data_ = static_cast<std::byte*>(data);
  return memory;
}

PinnedMemory::~PinnedMemory() {
  if (data_) (void)cudaFreeHost(data_);
}

}  // namespace dtcalc::cuda
