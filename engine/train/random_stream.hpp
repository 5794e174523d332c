// Random numbers of one training sequence, by name instead of by history. Called by the token sources.
#pragma once

#include <array>
#include <cstdint>

#include "engine/cpu/philox.hpp"

namespace dtcalc {

/// Names a stream; streams of different names are independent.
struct StreamName {
  std::uint64_t seed = 0;
  std::uint32_t kind = 0;  ///< what the numbers are for: one of the split's, or the transition table
  std::uint32_t step = 0;
  std::uint32_t sequence = 0;  ///< number of the sequence within the step
};

/// The numbers of a stream in order: word i is word i % 4 of Philox block i / 4.
class RandomStream {
 public:
  explicit RandomStream(const StreamName& name) : name_(name) {}

  std::uint32_t next32() {
    if (used_ == block_.size()) {
      block_ =
          cpu::philox4x32_10({counter_++, name_.sequence, name_.step, name_.kind},
                             {static_cast<std::uint32_t>(name_.seed), static_cast<std::uint32_t>(name_.seed >> 32)});
      used_ = 0;
    }
    return block_[used_++];
  }
  /// 0 .. count - 1, each with probability 1 / count to within 2^-32; count at most 2^32.
  std::uint64_t below(std::uint64_t count) { return (std::uint64_t{next32()} * count) >> 32; }

 private:
  StreamName name_;
  std::uint32_t counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  std::size_t used_ = 4;
};

}  // namespace dtcalc
