// Copies from global to shared memory that no thread waits for and no register holds (cp.async): sm_80 and up. Included
// by the kernels' sources only.
#pragma once

#include <cstdint>

namespace dtcalc::cuda {

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// 16 bytes to shared memory without passing through registers; zeros where `valid` is false (nothing is read then, so
/// `from` may point anywhere).
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(bytes)
               : "memory");
}
__device__ inline void copies_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Until at most `pending` of the thread's committed groups are under way. Its own copies can be read then, those of
/// other threads after a barrier.
template <int pending = 0>
__device__ void copies_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

}  // namespace dtcalc::cuda
