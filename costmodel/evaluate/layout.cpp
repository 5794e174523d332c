#include "costmodel/evaluate/layout.hpp"

#include <algorithm>

namespace dtcalc {
namespace {

/// Kinds as kind_of_layer counts them: 0 begins a chunk, 1 the others (local ones of a windowed model), 2 global ones.
void add_layers(const Layout& l, std::int64_t from, std::int64_t to, StageShape& shape) {
  if (from >= to) return;
  const std::int64_t count = to - from;
  if (l.global_every == 0) {
    shape.layers[0] += 1;
    shape.layers[1] += count - 1;
    return;
  }
  const auto globals_below = [&](std::int64_t layer) { return layer / l.global_every; };
  std::int64_t global = globals_below(to) - globals_below(from);
  std::int64_t local = count - global;
  // A chunk that begins with a global layer counts it as one that is handed a delta too: the two differ by an addition.
  if ((from + 1) % l.global_every != 0) {
    shape.layers[0] += 1;
    --local;
  }
  shape.layers[1] += local;
  shape.layers[2] += global;
}

/// Without chunks: every stage has `length` layers, `more` stages from `first_more` on have one more.
struct Spread {
  std::int64_t length, more, first_more;
};
Spread spread(const Layout& l) {
  const std::int64_t more = l.layers % l.pipeline;
  return {l.layers / l.pipeline, more, (l.pipeline - more) / 2};
}

}  // namespace

Layout layout_of(const Scenario& scenario, Work work) {
  const Model& m = scenario.model;
  Layout l;
  l.layers = m.layers;
  l.windowed = m.sliding_window > 0;
  l.global_every = l.windowed ? m.global_layer_every : 0;
  if (is_serving(work)) l.tensor = scenario.inference.tensor;
  if (work == Work::training) {
    const Parallel& p = scenario.training.parallel;
    l.tensor = p.tensor;
    l.context = p.context;
    l.pipeline = p.pipeline;
    l.chunks = p.virtual_stages;
    l.counted_ends = p.ends_count_as_layers;
    l.data = data_parallel(scenario);
    l.schedule = p.schedule;
    l.zero = static_cast<int>(p.zero);
    l.overlap_gradients = scenario.software.overlap_gradient_reduction;
    l.overlap_parameters = scenario.software.overlap_parameter_gather;
  }
  if (l.tensor * l.context * l.data * l.pipeline == 1) return l;
  const std::int64_t node = scenario.cluster.devices_per_node;
  l.tensor_group = group_along(l.tensor, 1, node);
  l.context_group = group_along(l.context, l.tensor, node);
  l.data_group = group_along(l.context * l.data, l.tensor, node);
  l.pipeline_group = group_along(l.pipeline, l.tensor * l.context * l.data, node);
  Fabric fabric = fabric_of(scenario.hardware, scenario.cluster);
  // A kernel that waits for its peers' flags before it reads and before it leaves: a word over NVLink takes about 1 us.
  constexpr double flag_s = 1e-6;
  if (scenario.software.direct_all_reduce)
    fabric.direct_latency = scenario.hardware.kernel_latency.value() + 2 * flag_s;
  l.fabric = slowed(fabric, scenario.software.communication_time_factor);
  return l;
}

StageShape chunk_shape(const Layout& l, std::int64_t stage, std::int64_t chunk) {
  StageShape shape;
  shape.prologue = stage == 0 && chunk == 0;
  shape.epilogue = stage == l.pipeline - 1 && chunk == l.chunks - 1;
  if (l.chunks > 1 || l.counted_ends) {
    const std::int64_t ends = l.counted_ends ? 1 : 0, length = (l.layers + 2 * ends) / (l.pipeline * l.chunks);
    const std::int64_t from = (chunk * l.pipeline + stage) * length - ends;
    add_layers(l, std::max<std::int64_t>(0, from), std::min(l.layers, from + length), shape);
    return shape;
  }
  const auto [length, more, first_more] = spread(l);
  const std::int64_t from = stage * length + std::clamp<std::int64_t>(stage - first_more, 0, more);
  add_layers(l, from, from + length + (stage >= first_more && stage < first_more + more), shape);
  return shape;
}

StageShape stage_shape(const Layout& l, std::int64_t stage) {
  if (l.chunks == 1) return chunk_shape(l, stage, 0);
  StageShape shape;
  shape.prologue = stage == 0;
  shape.epilogue = stage == l.pipeline - 1;
  if (l.global_every == 0 && !l.counted_ends) {
    shape.layers = {l.chunks, l.layers / l.pipeline - l.chunks, 0};
    return shape;
  }
  for (std::int64_t c = 0; c < l.chunks; ++c) {
    const StageShape chunk = chunk_shape(l, stage, c);
    for (int k = 0; k < kMaxBlockKinds; ++k) shape.layers[k] += chunk.layers[k];
  }
  return shape;
}

std::int64_t next_shape(const Layout& l, std::int64_t stage) {
  if (l.global_every != 0) return stage + 1;
  const Spread s = spread(l);
  const bool dealt = l.chunks > 1 || l.counted_ends;  // only the ends differ
  const std::int64_t changes[] = {1, dealt ? 1 : s.first_more, dealt ? 1 : s.first_more + s.more, l.pipeline - 1};
  std::int64_t next = l.pipeline;
  for (std::int64_t at : changes)
    if (at > stage) next = std::min(next, at);
  return next;
}

std::array<std::int64_t, kMaxBlockKinds> all_layers(const Layout& l) {
  if (l.global_every == 0 && !l.counted_ends) return {l.pipeline * l.chunks, l.layers - l.pipeline * l.chunks, 0};
  std::array<std::int64_t, kMaxBlockKinds> sum{};
  for (std::int64_t s = 0; s < l.pipeline; ++s) {
    const StageShape shape = stage_shape(l, s);
    for (int k = 0; k < kMaxBlockKinds; ++k) sum[k] += shape.layers[k];
  }
  return sum;
}

}  // namespace dtcalc
