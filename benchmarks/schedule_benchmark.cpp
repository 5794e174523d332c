// Playing one pipeline step, as `dtcalc simulate` does, and its closed bound, as the planner asks for it. Target: 64
// stages and 512 micro-batches made and played in under 10 ms on an idle machine.
#include <benchmark/benchmark.h>

#include "costmodel/schedule/bound.hpp"
#include "costmodel/schedule/play.hpp"

namespace {

using namespace dtcalc;

ScheduleShape shape_of(PipelineSchedule schedule, std::int64_t stages, std::int64_t micro_batches) {
  return {schedule, stages, schedule == PipelineSchedule::interleaved ? 2 : 1, micro_batches};
}

ScheduleCosts costs_of(const ScheduleShape& shape) {
  ScheduleCosts costs;
  for (std::int64_t stage = 0; stage < shape.stages; ++stage) {
    ChunkCost chunk;
    chunk.forward = Seconds(1 + static_cast<double>(stage % 7) / 100);
    chunk.backward_input = chunk.backward_weight = chunk.forward;
    chunk.live = Bytes(1);
    for (std::int64_t c = 0; c < shape.chunks; ++c) costs.chunks.push_back(chunk);
    costs.stages.push_back({Seconds(0.01), Seconds(0.01), Seconds(0.1), Bytes(1)});
  }
  return costs;
}

void make_and_play(benchmark::State& state, PipelineSchedule schedule) {
  const ScheduleShape shape = shape_of(schedule, state.range(0), state.range(1));
  const ScheduleCosts costs = costs_of(shape);
  for (auto _ : state) benchmark::DoNotOptimize(play(*make_schedule(shape), costs));
}

void bound(benchmark::State& state, PipelineSchedule schedule) {
  const ScheduleShape shape = shape_of(schedule, state.range(0), state.range(1));
  std::vector<StageSeconds> stages;
  for (const ChunkCost& c : costs_of({schedule, shape.stages, 1, 1}).chunks)
    stages.push_back({c.forward.value(), c.backward_input.value(), c.backward_weight.value()});
  for (auto _ : state) {
    benchmark::DoNotOptimize(stages.data());
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(step_bound(schedule, stages, shape.chunks, shape.micro_batches, 0.01));
  }
}

BENCHMARK_CAPTURE(make_and_play, "gpipe", PipelineSchedule::gpipe)->Args({64, 512})->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(make_and_play, "1f1b", PipelineSchedule::one_f_one_b)->Args({64, 512})->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(make_and_play, "interleaved", PipelineSchedule::interleaved)
    ->Args({64, 512})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(make_and_play, "zero_bubble", PipelineSchedule::zero_bubble)
    ->Args({64, 512})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(bound, "gpipe", PipelineSchedule::gpipe)->Args({8, 64})->Args({64, 512});
BENCHMARK_CAPTURE(bound, "1f1b", PipelineSchedule::one_f_one_b)->Args({8, 64})->Args({64, 512});
BENCHMARK_CAPTURE(bound, "interleaved", PipelineSchedule::interleaved)->Args({8, 64})->Args({64, 512});
BENCHMARK_CAPTURE(bound, "zero_bubble", PipelineSchedule::zero_bubble)->Args({8, 64})->Args({64, 512});

}  // namespace
