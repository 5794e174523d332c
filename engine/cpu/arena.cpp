#include "engine/cpu/arena.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace dtcalc::cpu {

Result<Arena> Arena::make(std::int64_t bytes) {
  const std::size_t size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return Error{"arena", fmt::format("{} bytes", bytes), std::string("cannot be mapped: ") + std::strerror(errno),
                 "use a smaller micro-batch, a shorter sequence or recomputation"};
  std::memset(data, std::to_integer<int>(kPoison), size);
  return Arena(static_cast<std::byte*>(data), bytes);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Arena::~Arena() {
  if (data_) munmap(data_, static_cast<std::size_t>(std::max<std::int64_t>(size_, 1)));
}

std::int64_t Arena::touched() const {
  std::int64_t end = size_;
  while (end > 0 && data_[end - 1] == kPoison) --end;
  return end;
}

}  // namespace dtcalc::cpu
