// What every CPU kernel is handed beside its operands: the threads, the FLOP counter and scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/thread_pool.hpp"

namespace dtcalc::cpu {

/// Counts the FLOPs of matrix products (1 multiply-add = 2, the notes' convention; elementwise work is not counted) at
/// the place where the arithmetic is called. Every worker has its own cache line; the sum is exact.
class FlopCounter {
 public:
  explicit FlopCounter(int threads) : counts_(static_cast<std::size_t>(threads)) {}
  void add(int worker, std::uint64_t flop) { counts_[static_cast<std::size_t>(worker)].flop += flop; }
  /// Sum over the workers; call it between kernels.
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const Count& count : counts_) sum += count.flop;
    return sum;
  }

 private:
  struct alignas(64) Count {
    std::uint64_t flop = 0;
  };
  std::vector<Count> counts_;
};

/// Kernels never allocate: one that needs scratch has a `…_workspace_bytes` function, and `workspace` (aligned to 64
/// bytes) must hold at least that much during the call. Its content means nothing before and after.
struct Context {
  ThreadPool& pool;
  FlopCounter& flop;  ///< made for at least as many threads as the pool has
  std::span<std::byte> workspace{};
};

}  // namespace dtcalc::cpu
