#include "costmodel/schedule/stage_costs.hpp"

#include <algorithm>
#include <cmath>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/evaluate/traffic.hpp"

namespace dtcalc {
namespace {

/// One chunk's share of its stage: how often each segment runs for one micro-batch.
class Chunks {
 public:
  Chunks(const Structure& structure, const Sizes& sizes, const Segments& segments)
      : structure_(structure), sizes_(sizes), layout_(sizes.layout), segments_(segments) {
    for (int g = 0; g < segments.group_count; ++g) {
      const GroupItem& item = segments.groups[g];
      if (item.group->phase == Phase::recompute)
        recompute_[item.segment] += item.seconds + static_cast<double>(item.kernels) * sizes.rates.gap_s;
    }
  }

  /// Without `live`, which the memory plan knows.
  ChunkCost cost(const StageShape& chunk) const {
    const int kinds = static_cast<int>(structure_.blocks.size());
    double forward = 0, input = 0, weight = 0, again = 0, parameters = 0, packed = 0, trained = 0, layers = 0;
    for (int i = 0; i < kinds + 2; ++i) {
      const bool block = i >= 1 && i <= kinds;
      const double times = block ? static_cast<double>(chunk.layers[i - 1]) : i == 0 ? chunk.prologue : chunk.epilogue;
      const SegmentCost& c = segments_.cost[i];
      const bool copies_table = layout_.pipeline > 1;
      forward += times * c.seconds.forward, input += times * c.seconds.backward_input;
      weight += times * c.seconds.backward_weight, again += times * recompute_[i];
      parameters += times * static_cast<double>(c.parameters + (copies_table ? c.tied : 0));
      packed += times * static_cast<double>(c.packed);
      trained += times * static_cast<double>(c.trained + (copies_table ? c.tied_trained : 0));
      if (block) layers += times;
    }
    ChunkCost cost;
    cost.forward = Seconds(forward), cost.backward_input = Seconds(input), cost.backward_weight = Seconds(weight);
    cost.recompute = Seconds(again);
    const double width = sizes_.state.gathered / 2.0;
    const auto frozen =
        static_cast<double>(packed_bytes(std::llround(packed), sizes_.half_bytes[static_cast<int>(Width::packed)]));
    const StateExchange exchange = state_exchange((parameters - packed) * width + frozen, trained * width,
                                                  trained * sizes_.state.gradient / 2, layout_);
    cost.reduce = Seconds(exchange.reduce.seconds);
    cost.gather = Seconds(exchange.gather.seconds);
    cost.gather_parts = cost.reduce_parts = std::max<std::int64_t>(1, static_cast<std::int64_t>(layers));
    return cost;
  }

 private:
  const Structure& structure_;
  const Sizes& sizes_;
  const Layout& layout_;
  const Segments& segments_;
  std::array<double, kMaxSegments> recompute_{};  ///< seconds of one run
};

ScheduleShape shape_of(const Layout& l, std::int64_t micro_batches) {
  ScheduleShape shape;
  if (l.pipeline > 1) shape = {l.schedule, l.pipeline, l.chunks, micro_batches};
  shape.micro_batches = micro_batches;
  if (l.replicas_of_states() > 1) {
    shape.reduce = l.reduces_every_micro_batch() ? DataTraffic::per_micro_batch : DataTraffic::per_step;
    shape.gather = l.zero == 3 ? DataTraffic::per_micro_batch : l.zero > 0 ? DataTraffic::per_step : DataTraffic::none;
  }
  shape.overlap_gather = l.overlap_parameters;
  shape.overlap_reduce = l.overlap_gradients;
  return shape;
}

/// One micro-batch's activation, or its gradient, between neighbouring stages.
Seconds transfer(const Sizes& sizes) {
  const Layout& l = sizes.layout;
  if (l.pipeline == 1) return Seconds(0);
  const auto symbol = [&](Symbol s) { return sizes.symbol[static_cast<int>(s)]; };
  const std::int64_t bytes = bytes_of(symbol(Symbol::batch) * symbol(Symbol::shard) * symbol(Symbol::hidden),
                                      sizes.half_bytes[static_cast<int>(Width::stream)]);
  return Seconds(collective_cost(Collective::send, static_cast<double>(bytes), l.pipeline_group, l.fabric).seconds);
}

/// One tower's step, and what of each stage's persistent memory stays when the tower does not run.
struct StagedTower {
  StagedStep step;
  std::vector<Bytes> stays;
};

StagedTower staged(const Tower& tower) {
  const Structure& structure = cached_structure(choices_of(tower.scenario, true));
  const Sizes sizes = sizes_of(tower.scenario, true);
  Segments segments;
  Details details;
  evaluate_segments(structure, sizes, segments, details.plan);
  combine(structure, sizes, segments, details.plan, &details);

  StagedTower result;
  StagedStep& step = result.step;
  step.shape = shape_of(sizes.layout, sizes.micro_batches);
  step.costs.global_norm = structure.choices.clip;
  const Chunks chunks(structure, sizes, segments);
  const std::int64_t count = step.shape.chunks;
  for (const StageItem& item : details.stages) {
    const auto stage_index = static_cast<std::int64_t>(result.stays.size());
    // Without a pipeline a stage holds one micro-batch, whatever the schedule.
    const Bytes live = sizes.layout.pipeline > 1 ? item.slot : item.slot * item.live;
    const std::int64_t most_live = sizes.layout.pipeline > 1 ? item.live : 1;
    for (std::int64_t c = 0; c < count; ++c) {
      ChunkCost cost = chunks.cost(chunk_shape(sizes.layout, stage_index, c));
      const StageSeconds& stretch = item.host_stretch;
      cost.forward = cost.forward * stretch.forward;
      cost.backward_input = cost.backward_input * stretch.backward_input;
      cost.recompute = cost.recompute * stretch.backward_input;
      cost.backward_weight = cost.backward_weight * stretch.backward_weight;
      cost.live = live;
      step.costs.chunks.push_back(cost);
    }
    StageCost stage;
    stage.send_activation = stage.send_gradient = transfer(sizes);
    stage.optimizer = Seconds(item.optimizer_s + sizes.rates.gap_s * (structure.choices.clip ? 2 : 1));
    stage.persistent = item.total - live * most_live;
    step.costs.stages.push_back(stage);
    plan_stage(structure, sizes, item.shape, stage_index, details.plan);
    result.stays.push_back(Bytes(details.plan.tokens));  // what lies below: weights, gradients, the optimizer's states
  }
  return result;
}

/// Time of a forward pass with the weights that it waits for.
Seconds forward_alone(const ChunkCost& chunk, const ScheduleShape& shape) {
  if (shape.gather != DataTraffic::per_micro_batch) return chunk.forward;
  if (!shape.overlap_gather) return chunk.forward + chunk.gather;
  return std::max(chunk.forward + chunk.gather / static_cast<double>(chunk.gather_parts), chunk.gather);
}

/// Adds a tower that runs beside those before it, micro-batch by micro-batch: the memory that stays adds up, of what
/// only a running tower needs the most counts.
void join(StagedTower& all, const StagedTower& one, const Tower& tower) {
  const bool trained =
      one.step.costs.chunks.front().backward_input + one.step.costs.chunks.front().backward_weight > Seconds(0);
  for (std::size_t i = 0; i < all.step.costs.chunks.size(); ++i) {
    ChunkCost& sum = all.step.costs.chunks[i];
    const ChunkCost& more = one.step.costs.chunks[i];
    sum.forward += trained ? more.forward : forward_alone(more, one.step.shape);
    sum.backward_input += more.backward_input;
    sum.backward_weight += more.backward_weight;
    sum.recompute += more.recompute;
    sum.live += more.live;
    if (!trained) continue;
    sum.gather += more.gather;
    sum.reduce += more.reduce;
  }
  for (std::size_t i = 0; i < all.step.costs.stages.size(); ++i) {
    StageCost& sum = all.step.costs.stages[i];
    const StageCost& more = one.step.costs.stages[i];
    const Bytes running = std::max(sum.persistent - all.stays[i], more.persistent - one.stays[i]);
    if (!tower.borrows_weights) all.stays[i] += one.stays[i];
    sum.persistent = all.stays[i] + running;
    sum.send_activation += more.send_activation;
    if (!trained) continue;
    sum.send_gradient += more.send_gradient;
    sum.optimizer += more.optimizer;
  }
}

}  // namespace

StagedStep stage_costs(const Scenario& scenario) {
  const std::vector<Tower> towers = towers_of(scenario);
  StagedTower all = staged(towers.front());
  for (std::size_t i = 1; i < towers.size(); ++i) join(all, staged(towers[i]), towers[i]);
  return std::move(all.step);
}

}  // namespace dtcalc
