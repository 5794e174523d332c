// Closed forms of App. C.1-C.2: what one multiprocessor does per cycle, and how many blocks of a kernel it holds at
// once. Used by `dtcalc roofline --kernel` and the tests of the hardware profiles.
//
// Sources: CUDA C++ Programming Guide, technical specifications per compute capability (limits and granularities), and
// NVIDIA's architecture whitepapers (FLOP per cycle); both per generation, not per product.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "costmodel/scenario/types.hpp"

namespace dtcalc::formulas {

/// C.1: dense FLOPs of one multiprocessor in a cycle, products accumulated in fp32, of data-centre parts (the tensor
/// cores of GeForce parts of Ada do half); nothing for what the generation lacks, for fp64 and for `other`.
std::optional<double> flop_per_cycle(GpuArchitecture architecture, Dtype dtype);

/// What a multiprocessor holds at most.
struct MultiprocessorLimits {
  std::int64_t threads, blocks, registers;
  std::int64_t shared_memory_bytes;
  std::int64_t reserved_bytes;       ///< of shared memory in every block, for the system
  std::int64_t register_unit = 256;  ///< registers of a warp are allocated in multiples of it
  std::int64_t shared_unit = 128;    ///< bytes of shared memory in multiples of it
};

/// `shared_memory_bytes` from the hardware profile: within a generation parts differ. Nothing for `other`.
std::optional<MultiprocessorLimits> multiprocessor_limits(GpuArchitecture architecture,
                                                          std::int64_t shared_memory_bytes);

struct Occupancy {
  std::int64_t blocks = 0, warps = 0;  ///< resident on a multiprocessor; 0: the kernel cannot run
  double share = 0;                    ///< warps over the most it can hold
  std::string_view limit;              ///< threads, blocks, registers or shared memory: what allows fewest blocks
};

/// C.2: the most blocks of `threads` threads, `registers` registers per thread (1 to 255) and `shared_bytes` of shared
/// memory that every resource holds. Threads are counted in warps of 32.
Occupancy occupancy(const MultiprocessorLimits& limits, std::int64_t threads, std::int64_t registers,
                    std::int64_t shared_bytes);

}  // namespace dtcalc::formulas
