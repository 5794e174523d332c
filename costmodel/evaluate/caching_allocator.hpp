// PyTorch's caching allocator of device memory: what it holds after a sequence of requests. Called by
// reserved_memory.cpp, which plays a training step on it.
//
// The rules, from PyTorch's notes "CUDA semantics", section "Memory management", and the constants of
// c10/cuda/CUDACachingAllocator.cpp (2.6): sizes are rounded up to 512 bytes. Requests of at most 1 MiB and larger ones
// have pools of their own, and so has every stream; a freed block serves only its pool. A request takes the smallest
// free block that holds it and gives back what is left over; neighbours that are free become one block. Otherwise the
// pool grows, and nothing returns to the device.
//   pytorch             a new segment: of 2 MiB for a small request, 20 MiB below 10 MiB, else the request rounded up
//   to
//                       2 MiB. A large block is split when more than 1 MiB is left over.
//   pytorch_expandable  (expandable_segments:True) a pool is one segment that grows at its end, by pages of 2 MiB for
//                       small and 20 MiB for large requests; a free block there counts as large as it may grow, so
//                       it is taken last.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "costmodel/scenario/types.hpp"
#include "costmodel/units.hpp"

namespace dtcalc {

class CachingAllocator {
 public:
  /// A block that is in use.
  struct Block {
    int pool = -1;
    std::int64_t address = 0;
  };

  explicit CachingAllocator(Allocator kind) : expandable_(kind == Allocator::pytorch_expandable) {}

  /// Streams are numbered by the caller, from 0. A request of 0 bytes takes nothing.
  Block allocate(std::int64_t bytes, int stream);
  void free(Block block);

  Bytes allocated() const { return Bytes(allocated_); }  ///< by blocks in use
  Bytes reserved() const { return Bytes(reserved_); }    ///< by all segments: it never shrinks

 private:
  struct Piece {
    std::int64_t bytes;
    bool used;
  };
  struct Pool {
    std::map<std::int64_t, Piece> pieces;                    ///< by address; a gap separates segments
    std::set<std::pair<std::int64_t, std::int64_t>> vacant;  ///< bytes, address
    std::int64_t end = 0;                                    ///< behind the last piece
  };

  Pool& pool(int index);
  std::int64_t grow(Pool& pool, std::int64_t bytes, bool small);
  void take(Pool& pool, std::int64_t address, std::int64_t bytes, bool small);

  bool expandable_;
  std::vector<Pool> pools_;  ///< two per stream: small, large
  std::int64_t allocated_ = 0, reserved_ = 0;
};

}  // namespace dtcalc
