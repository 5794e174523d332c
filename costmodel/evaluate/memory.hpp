// Where every byte lies: one function places the engine's arena and gives the ledger its numbers.
//
// Arena, from low to high addresses:
//   parameters (trained, frozen, packed) | gradients | master weights | moments | tokens | targets | saved slots |
//   boundary buffers | wire | workspace | scratch
// Every buffer starts at a multiple of the alignment and is followed by `Sizes::guard` bytes that nobody may write.
// Trained parameters come first, so that they, their gradients and their moments share one numbering of elements.
// Persistent regions keep their content between steps. A layer's slot holds what its forward pass saves for its
// backward pass. Scratch is shared by all programs: its size is that of the largest one.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "costmodel/evaluate/sizes.hpp"

namespace dtcalc {

/// Numbers of parameters by how they are stored.
struct ParameterElements {
  std::int64_t trained = 0, frozen = 0, packed = 0;
  std::int64_t small = 0;  ///< of the trained ones those in tensors below kSmallestScaledTensor
};

/// Offsets of one segment kind's tensors; strides for kinds that repeat.
struct SegmentPlan {
  /// Elements, from the segment's first parameter of the same sort: trained, frozen, or frozen and packed.
  std::array<std::int64_t, kMaxBuffers> parameter;
  ParameterElements elements;                   ///< rounded so that every width is aligned
  ParameterElements tied;                       ///< of the copy that a head needs on another stage than its table
  std::array<std::int64_t, kMaxBuffers> saved;  ///< bytes, from the slot's start
  std::int64_t slot_bytes = 0;
  std::int64_t input_bytes = 0;                             ///< given from outside: token ids, targets, pixels
  std::array<std::int64_t, kMaxBuffers> forward, backward;  ///< bytes, from the scratch region's start
  std::int64_t forward_bytes = 0, backward_bytes = 0;
};

struct MemoryPlan {
  std::array<SegmentPlan, kMaxSegments> segment;  ///< prologue, block kinds, epilogue (last used index)
  ParameterElements elements;                     ///< of all segments with padding
  // Start of each region, in bytes.
  std::int64_t parameters = 0, gradients = 0, master = 0, moments = 0, tokens = 0, targets = 0, slots = 0, boundary = 0,
               wire = 0, scratch = 0, workspace = 0;
  std::int64_t slot_bytes = 0;  ///< all live slots
  std::int64_t wire_bytes = 0;  ///< what communication holds: received activations, gathered parameters
  std::int64_t boundary_residual = 0, boundary_delta = 0, boundary_gradient = 0;  ///< absolute offsets
  std::int64_t scratch_bytes = 0;
  std::int64_t total = 0;
};

/// Offline placement of buffers with lifetimes: largest first, each at the lowest offset free during its life. Writes
/// offsets (multiples of `alignment`) and returns the peak, to the byte.
std::int64_t place(std::span<const Buffer> buffers, const std::int64_t* values, const Sizes& sizes,
                   std::span<std::int64_t> offsets);

/// The plan for one pipeline stage; `values` from evaluate_extents. plan_segments places what lies inside segments, for
/// all stages; plan_stage puts the regions of one stage together.
void plan_segments(const Structure& structure, const Sizes& sizes, const std::int64_t* values, MemoryPlan& plan);
void plan_stage(const Structure& structure, const Sizes& sizes, const StageShape& shape, std::int64_t stage,
                MemoryPlan& plan);

/// Both, for the only stage of a layout without pipeline: the engine's arena.
void plan_memory(const Structure& structure, const Sizes& sizes, const std::int64_t* values, MemoryPlan& plan);

/// `alignment`: a power of two.
inline std::int64_t align_up(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) & -alignment;
}

}  // namespace dtcalc
