// What `dtcalc estimate` says about a scenario: one value from which text, JSON and CSV are made. Called by the command
// line and by whoever needs the JSON contract (docs/json.md).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/generation.hpp"
#include "costmodel/evaluate/least_batch.hpp"
#include "costmodel/evaluate/memory_maxima.hpp"
#include "costmodel/evaluate/reserved_memory.hpp"
#include "costmodel/evaluate/serving.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/report/ways_out.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// One group of kernels, in one phase, over all layers and micro-batches of a step.
struct OperatorRow {
  std::string_view tower;  ///< `policy`; empty when the step is one model's
  std::string_view name;   ///< `block.attention.scores`
  std::string_view phase;  ///< forward, recompute, backward or optimizer; of serving prefill or decode
  std::vector<std::string_view> covers;
  std::int64_t kernels = 0;  ///< launches in a step
  std::int64_t count = 0;    ///< times the group runs in a step
  Flop flop{0};              ///< executed in a step
  double read_bytes = 0, written_bytes = 0;
  Seconds time{0};         ///< in a step, with launches
  std::string_view bound;  ///< compute, memory or measured; of the layers that take longest
};

/// A tensor that the forward pass keeps for the backward pass.
struct ActivationRow {
  std::string_view tower;
  std::string tensor;  ///< `block.attention.softmax`, `block.mlp.norm.statistics`
  Bytes bytes_per_layer{0}, saved_bytes{0};
  std::int64_t layers = 0;
};

struct Estimate {
  Scenario scenario;
  Totals totals;  ///< of the training step; of the prefill with the cache's scratch when the scenario has no training
  std::vector<ActivationRow> activations;
  std::vector<OperatorRow> operators;          ///< of what `totals` are of
  std::vector<OperatorRow> serving_operators;  ///< of the prefill, then of a decode step halfway; with `serving`
  std::vector<TowerItem> towers;               ///< empty when the step is one model's
  std::vector<StageItem> stages;               ///< of the pipeline; of the first tower
  std::int64_t chunks = 1;                     ///< virtual stages
  std::optional<Serving> serving;
  std::optional<ServingLimits> limits;     ///< with `serving`
  std::optional<BeamSearch> beam_search;   ///< when it was asked for
  std::optional<Speculative> speculative;  ///< when it was asked for
  Bytes total{0};                          ///< compared with the capacity
  bool fits = true;
  std::optional<ReservedMemory> reserved;  ///< with training, when the software profile names an allocator
  std::optional<MemoryMaxima> maxima;      ///< with training
  std::optional<LeastBatch> least_batch;   ///< with training
  std::vector<WayOut> ways_out;            ///< by step time; only when it does not fit
  std::string peak;                        ///< where memory peaks, in words
};

/// Evaluates the scenario; looks for ways out when it does not fit.
Estimate estimate(const Scenario& scenario);

/// The origin of the times: `datasheet`, `calibrated`, …
std::string_view origin_of(const Scenario& scenario);

/// The rows of a table of operators: those of the training step, then those of serving.
std::vector<OperatorRow> printed_operators(const Estimate& estimate);

/// The JSON contract. `operators`: with the row per group.
nlohmann::ordered_json to_json(const Estimate& estimate, bool operators);

/// One table of all figures by their JSON key, or the operators' rows.
Table to_table(const Estimate& estimate, bool operators);

struct TextOptions {
  bool colour = false;
  int columns = 80;
};

/// For people. `operators`: with the tables of groups and saved tensors.
std::string to_text(const Estimate& estimate, bool operators, const TextOptions& options);

}  // namespace dtcalc::report
