// One micro-batch of every segment on one rank: what does not depend on how many pipeline stages, data ranks and ZeRO
// stages there are. The planner makes it once and combines it with many of those.
#pragma once

#include "costmodel/evaluate/law.hpp"
#include "costmodel/evaluate/memory.hpp"
#include "costmodel/schedule/bound.hpp"

namespace dtcalc {

inline constexpr int kMaxGroups = 640, kMaxKernels = 512;  ///< of a step; of a program

/// What one device sends over one axis of the layout, and how long nothing else happens meanwhile.
struct AxisTraffic {
  double sent_bytes = 0;
  Seconds exposed{0};
};

/// One group of kernels in one segment, for all its repetitions in a step. Without default values, so that an
/// evaluation does not fill all of Segments::groups: make one with {}.
struct GroupItem {
  const Group* group;
  int segment;                             ///< index into MemoryPlan::segment
  std::int64_t count;                      ///< repetitions in a step
  int kernels;                             ///< per repetition
  double flop, read_bytes, written_bytes;  ///< per repetition
  double seconds;                          ///< per repetition, with launches; of a collective what is exposed
  Bound bound;                             ///< of its longest kernel
  int tower;                               ///< index into Details::towers
};

struct SegmentCost {
  std::int64_t parameters = 0, trained = 0;  ///< on this rank; of a tied head none
  std::int64_t small = 0;                    ///< those of the trained ones in tensors below kSmallestScaledTensor
  std::int64_t packed = 0;                   ///< those of the parameters that are stored in 8 or 4 bits
  std::int64_t tied = 0, tied_trained = 0;   ///< the copy that a head needs on another stage than its table
  std::int64_t whole_parameters = 0, whole_trained = 0, whole_embedding = 0;  ///< of the model
  StageSeconds launches{};                                                    ///< of kernels by the host
  std::int64_t saved_bytes = 0;                                               ///< exact, without alignment
  double forward_flop = 0, backward_flop = 0;                                 ///< of the model, all its ranks
  StageSeconds seconds{};  ///< with launches and exposed communication
  std::array<AxisTraffic, kAxes> traffic{};
};

struct Segments {
  std::array<std::int64_t, kMaxExtents> values;  ///< of every extent, on this rank
  std::array<SegmentCost, kMaxSegments> cost;
  std::array<GroupItem, kMaxGroups> groups;  ///< seconds without launches, count 0
  int group_count = 0;
};

/// Prologue, block kinds and epilogue, in the order of MemoryPlan::segment; `plan` gets what lies inside segments.
void evaluate_segments(const Structure& structure, const Sizes& sizes, Segments& segments, MemoryPlan& plan);

}  // namespace dtcalc
