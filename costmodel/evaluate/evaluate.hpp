// One evaluation: memory, FLOPs and time of a structure under given sizes, in one pass without allocation.
//
// The same pass explains itself: with a recorder it reports every group, and the sum of the items is bitwise the total,
// because both come out of the same additions in the same order.
#pragma once

#include <vector>

#include "costmodel/evaluate/law.hpp"
#include "costmodel/evaluate/memory.hpp"

namespace dtcalc {

/// Where memory peaks: the program whose scratch is the largest.
struct PeakInstant {
  int segment = 0;  ///< index into MemoryPlan::segment
  bool backward = false;
};

struct Totals {
  // Counts of the whole model, exact.
  Parameters parameters{0}, embedding_parameters{0}, parameters_per_layer{0}, trained_parameters{0};
  // Memory on the device. The categories are the composition at the peak and add up to `total`.
  Bytes parameters_bytes{0}, gradients_bytes{0}, optimizer_bytes{0};
  Bytes activations_bytes{0};  ///< saved, handed over, scratch; without the logits
  Bytes logits_bytes{0};
  Bytes workspace_bytes{0};  ///< token ids, kernels' workspace, alignment and what placement leaves free
  Bytes total{0};
  Bytes saved_bytes{0};  ///< of all layers, between the forward and the backward pass, without alignment
  PeakInstant peak;
  // FLOPs of one optimizer step.
  Flop forward_flop{0}, backward_flop{0}, model_flop{0};  ///< model FLOPs by the scenario's convention
  Flop recompute_flop{0}, hardware_flop{0};               ///< executed by the kernels
  // Time of one optimizer step.
  Seconds compute{0}, optimizer{0}, host{0}, step{0};
  double mfu = 0, hfu = 0;
  Tokens tokens{0};
};

/// One group of kernels in one segment, for all its repetitions in a step.
struct GroupItem {
  const Group* group;
  int segment;                             ///< index into MemoryPlan::segment
  std::int64_t count;                      ///< repetitions in a step
  int kernels;                             ///< per repetition
  double flop, read_bytes, written_bytes;  ///< per repetition
  double seconds;                          ///< per repetition, with launches
  Bound bound;                             ///< of its longest kernel
};

struct SavedItem {
  const Tensor* tensor;
  int segment;
  std::int64_t layers;
  Bytes bytes_per_layer;
};

/// What a recorder collects; empty in the hot path.
struct Details {
  std::vector<GroupItem> groups;
  std::vector<SavedItem> saved;
  MemoryPlan plan;
};

/// The totals. `details`, when given, is filled by the same pass.
Totals evaluate(const Structure& structure, const Sizes& sizes, Details* details = nullptr);

/// Structure (cached), sizes and evaluation of a scenario's training step, or of its forward pass alone.
Totals evaluate(const Scenario& scenario, bool training, Details* details = nullptr);

}  // namespace dtcalc
