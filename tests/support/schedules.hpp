// Shapes and costs of schedules for the tests of costmodel/schedule.
#pragma once

#include <random>
#include <vector>

#include "costmodel/schedule/costs.hpp"
#include "costmodel/schedule/schedule.hpp"

namespace dtcalc::test {

/// Every schedule with up to `most_stages` stages, `most_micro_batches(P)` micro-batches and three chunks per stage.
template <class MostMicroBatches, class F>
void for_shapes(std::int64_t most_stages, MostMicroBatches&& most_micro_batches, F&& f) {
  for (std::int64_t P = 1; P <= most_stages; ++P)
    for (std::int64_t m = 1; m <= most_micro_batches(P); ++m) {
      f(ScheduleShape{PipelineSchedule::gpipe, P, 1, m});
      f(ScheduleShape{PipelineSchedule::one_f_one_b, P, 1, m});
      f(ScheduleShape{PipelineSchedule::zero_bubble, P, 1, m});
      for (std::int64_t v = 2; v <= 3 && m % P == 0; ++v) f(ScheduleShape{PipelineSchedule::interleaved, P, v, m});
    }
}

/// The same costs everywhere, free communication, no optimizer. `of_stage` is the work of all chunks together.
inline ScheduleCosts equal_costs(const ScheduleShape& shape, double forward, double backward_input,
                                 double backward_weight) {
  const auto chunks = static_cast<double>(shape.chunks);
  ChunkCost chunk;
  chunk.forward = Seconds(forward / chunks);
  chunk.backward_input = Seconds(backward_input / chunks);
  chunk.backward_weight = Seconds(backward_weight / chunks);
  chunk.live = Bytes(1);
  return {std::vector<ChunkCost>(static_cast<std::size_t>(shape.stages * shape.chunks), chunk),
          std::vector<StageCost>(static_cast<std::size_t>(shape.stages))};
}

/// Costs that differ everywhere, in whole seconds, so that their sums are exact.
inline ScheduleCosts random_costs(const ScheduleShape& shape, unsigned seed) {
  std::mt19937 random(seed);
  const auto draw = [&](unsigned low, unsigned high) { return low + random() % (high - low + 1); };
  ScheduleCosts costs = equal_costs(shape, 0, 0, 0);
  for (ChunkCost& c : costs.chunks) {
    c.forward = Seconds(draw(1, 20)), c.backward_input = Seconds(draw(1, 20)), c.backward_weight = Seconds(draw(1, 20));
    c.gather = Seconds(draw(0, 15)), c.reduce = Seconds(draw(0, 30)), c.live = Bytes(draw(1, 100));
    c.gather_parts = 1 << draw(0, 2), c.reduce_parts = 1 << draw(0, 2);  // whose quotients are exact
  }
  for (StageCost& s : costs.stages) {
    s.send_activation = Seconds(draw(0, 8)), s.send_gradient = Seconds(draw(0, 8));
    s.optimizer = Seconds(draw(0, 40)), s.persistent = Bytes(draw(0, 1000));
  }
  costs.global_norm = draw(0, 1) == 1;
  return costs;
}

}  // namespace dtcalc::test
