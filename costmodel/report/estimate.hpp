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
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// One group of kernels, in one phase, over all layers and micro-batches of a step.
struct OperatorRow {
  std::string_view name;   ///< `block.attention.scores`
  std::string_view phase;  ///< forward, recompute, backward or optimizer
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
  std::string tensor;  ///< `block.attention.softmax`, `block.mlp.norm.statistics`
  Bytes bytes_per_layer{0}, saved_bytes{0};
  std::int64_t layers = 0;
};

/// Changes of the scenario that together make it fit.
struct WayOut {
  std::vector<std::string> set;  ///< `training.recompute=full`, `training.micro_batch=4`
  Bytes total{0};
  Seconds step{0};
};

/// Serving of one replica (Sec. 12-13): `batch` prompts, then one token for each of them at a time.
struct Serving {
  Totals prefill_totals, decode_totals;
  Seconds prefill{0};                 ///< TTFT without queueing and sampling
  Seconds decode_step{0};             ///< TPOT, halfway through the generated tokens
  Seconds request{0};                 ///< prefill and all generated tokens
  TokensPerSecond throughput{0};      ///< of decoding
  Bytes kv_cache_bytes_per_token{0};  ///< per device, (12.1) with B = S = 1: 2 p L max(G/T, 1) H
  Bytes kv_cache{0};                  ///< of all sequences at their full length, per device
  std::int64_t max_batch = 0;         ///< most sequences whose weights, cache and scratch fit; 0: not even one
  double decode_intensity = 0, prefill_intensity = 0;  ///< executed FLOP per byte moved
  Bytes total{0};                                      ///< weights, cache and the larger scratch of the two phases
};

struct Estimate {
  Scenario scenario;
  Totals totals;  ///< of the training step; of the prefill with the cache's scratch when the scenario has no training
  std::vector<ActivationRow> activations;
  std::vector<OperatorRow> operators;
  std::vector<StageItem> stages;  ///< of the pipeline
  std::int64_t chunks = 1;        ///< virtual stages
  std::optional<Serving> serving;
  Bytes total{0};  ///< compared with the capacity
  bool fits = true;
  std::vector<WayOut> ways_out;  ///< by step time; only when it does not fit
  std::string_view peak;         ///< where memory peaks, in words
};

/// Evaluates the scenario; looks for ways out when it does not fit.
Estimate estimate(const Scenario& scenario);

/// The origin of the times: `datasheet`, `calibrated`, …
std::string_view origin_of(const Scenario& scenario);

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
