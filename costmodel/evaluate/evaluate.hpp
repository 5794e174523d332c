// One evaluation: memory, FLOPs and time of a structure under given sizes, in one pass without allocation.
//
// The same pass explains itself: with a recorder it reports every group, and the sum of the items is bitwise the total,
// because both come out of the same additions in the same order.
#pragma once

#include <string_view>
#include <vector>

#include "costmodel/evaluate/segments.hpp"

namespace dtcalc {

/// Where memory peaks: the stage that needs most, and there the program whose scratch is the largest.
struct PeakInstant {
  std::int64_t stage = 0;
  int tower = 0;    ///< index into Details::towers, when there are several
  int segment = 0;  ///< index into MemoryPlan::segment
  bool backward = false;
};

struct Totals {
  // Counts of the whole model, exact.
  Parameters parameters{0}, embedding_parameters{0}, parameters_per_layer{0}, trained_parameters{0};
  Parameters parameters_per_device{0};  ///< on the stage where memory peaks
  // Memory on a device of the stage where it peaks. The categories are the composition there and add up to `total`.
  Bytes parameters_bytes{0}, gradients_bytes{0}, optimizer_bytes{0};
  Bytes activations_bytes{0};  ///< saved, handed over, scratch; without the logits
  Bytes logits_bytes{0};
  Bytes workspace_bytes{0};  ///< token ids, kernels' workspace, buffers of communication, alignment and what placement
                             ///< leaves free
  Bytes total{0};
  Bytes saved_bytes{0};  ///< of all live layers, between the forward and the backward pass, without alignment
  PeakInstant peak;
  // FLOPs of one optimizer step, on all devices.
  Flop forward_flop{0}, backward_flop{0}, model_flop{0};  ///< model FLOPs by the scenario's convention
  Flop recompute_flop{0}, hardware_flop{0};               ///< executed by the kernels
  // Time of one optimizer step, on the slowest stage; the parts add up to `step`.
  Seconds compute{0}, optimizer{0}, host{0}, exposed{0}, bubble{0}, step{0};
  std::int64_t stage = 0;  ///< the slowest
  std::array<AxisTraffic, kAxes> traffic{};
  std::int64_t devices = 1;
  double mfu = 0, hfu = 0;
  Tokens tokens{0};
};

struct SavedItem {
  const Tensor* tensor;
  int segment;
  std::int64_t layers;
  Bytes bytes_per_layer;
  int tower = 0;  ///< index into Details::towers
};

/// What a device holds at the peak of its stage; the parts add up to the stage's total.
struct StageMemory {
  Bytes parameters{0}, gradients{0}, optimizer{0}, activations{0}, logits{0}, workspace{0};
};

/// One pipeline stage: for the simulator and for tables per stage.
struct StageItem {
  StageShape shape;
  StageSeconds seconds{};  ///< per micro-batch, with exposed communication inside blocks and waiting for the host
  StageSeconds host_stretch{1, 1, 1};  ///< by which waiting for the host lengthens the passes
  Bytes slot{0};                       ///< saved for one micro-batch in one chunk
  std::int64_t live = 1;               ///< chunks saved at once
  Bytes total{0};                      ///< at the stage's peak
  StageMemory memory;
  double optimizer_s = 0;
};

/// One of several models that a training step runs (towers.hpp).
struct TowerItem {
  std::string_view name;
  Totals totals;          ///< of one run
  std::int64_t runs = 1;  ///< in a step
};

/// What a recorder collects; empty in the hot path.
struct Details {
  std::vector<TowerItem> towers;  ///< empty when the step is one model's
  std::vector<StageItem> stages;
  std::vector<GroupItem> groups;
  std::vector<SavedItem> saved;
  MemoryPlan plan;
};

/// The totals. `details`, when given, is filled by the same pass.
Totals evaluate(const Structure& structure, const Sizes& sizes, Details* details = nullptr);

/// The same from segments that evaluate_segments made with the same structure, micro-batch, tensor and context ranks;
/// `plan` is theirs. Stages, schedule, data ranks and ZeRO may differ: the result is bitwise that of `evaluate`.
Totals combine(const Structure& structure, const Sizes& sizes, const Segments& segments, MemoryPlan& plan,
               Details* details = nullptr);

/// Structure (cached), sizes and evaluation of a scenario's work; `context` for decode as in sizes_of. A training step
/// of several towers is their sum (towers.hpp).
Totals evaluate(const Scenario& scenario, Work work, Details* details = nullptr, std::int64_t context = 0);
inline Totals evaluate(const Scenario& scenario, bool training, Details* details = nullptr) {
  return evaluate(scenario, training ? Work::training : Work::evaluation, details);
}

}  // namespace dtcalc
