// The one allocation of a run: page-aligned bytes filled with poison, so that what nobody touched can be seen
// afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "costmodel/error.hpp"

namespace dtcalc::cpu {

/// 0xFF in every byte: a NaN in fp32 and fp64, so a value that is read before it is written cannot pass unnoticed.
inline constexpr std::byte kPoison{0xFF};

class Arena {
 public:
  /// Maps `bytes` and poisons them. Fails with an Error when the system refuses.
  static Result<Arena> make(std::int64_t bytes);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  std::byte* data() const { return data_; }
  std::int64_t size() const { return size_; }
  /// Bytes from the start up to and including the last one that no longer holds poison.
  std::int64_t touched() const;

 private:
  Arena(std::byte* data, std::int64_t size) : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace dtcalc::cpu
