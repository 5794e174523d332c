// Searches the parallel layouts of a training step: every way to cut the model over the cluster, each evaluated as
// `evaluate` would. Called by `dtcalc plan`.
#pragma once

#include <functional>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc {

/// One layout and what it costs.
struct PlannedLayout {
  Parallel parallel;
  std::int64_t micro_batch = 1;
  Recompute recompute = Recompute::none;
  Totals totals;
};

/// Keys that keep the scenario's value instead of being searched.
struct Kept {
  bool tensor = false, sequence = false, save_full_inputs = false, context = false, pipeline = false,
       virtual_stages = false, schedule = false, zero = false, micro_batch = false, recompute = false;
};

struct SearchOptions {
  Kept keep;
  std::int64_t most_tensor = 32, most_context = 8, most_micro_batch = 16;  ///< where not kept; contrasts have no most
  int best = 10;
  int threads = 1;
  std::function<void(double done)> progress;  ///< in [0, 1]; called from one thread
  std::function<bool()> stop;                 ///< true: give back what is known
};

struct SearchResult {
  std::vector<PlannedLayout> best;  ///< those that fit, by step time; equal times by memory, then by size of T, P, …
  std::int64_t layouts = 0;         ///< valid ones that were evaluated
  std::int64_t fitting = 0;         ///< of them in memory
  PlannedLayout smallest;           ///< the one that needs least memory; meaningful when none fits
  double seconds = 0;               ///< of the search
  bool stopped = false;
};

/// The divisors of `n` up to `most`, ascending.
std::vector<std::int64_t> divisors(std::int64_t n, std::int64_t most);

/// How many ranks of each axis a search looks at, whatever the cluster.
struct SearchRanks {
  std::vector<std::int64_t> tensor, context, pipeline;
};
SearchRanks search_ranks(const Scenario& scenario, const SearchOptions& options);

/// Layouts of `scenario`: T up to most_tensor that divides heads and MLP, with and without sequence parallelism;
/// context rings up to most_context (zig-zag); P stages that divide the layers with every number of chunks; all
/// schedules; ZeRO 0-3; micro-batches up to most_micro_batch that divide the global batch; all recomputations. Nothing
/// is pruned. Of a step of several models (towers.hpp) all are cut the same way. The cluster, the global batch and
/// everything else stay. A layout is valid exactly when load_scenario accepts it.
SearchResult search_layouts(const Scenario& scenario, const SearchOptions& options);

/// The part of the step, besides compute, that costs most: "tensor", "context", "data", "bubble", "optimizer", "host",
/// or "compute" when that is more than half of the step.
std::string_view limit_of(const Totals& totals);

/// `scenario` with a planned layout.
Scenario with_layout(const Scenario& scenario, const PlannedLayout& layout);

}  // namespace dtcalc
