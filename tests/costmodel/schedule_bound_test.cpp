// The closed forms of pipeline schedules that the hot path uses, against the independent ones of formulas/pipeline.hpp.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/schedule/bound.hpp"
#include "costmodel/schedule/play.hpp"
#include "support/catch.hpp"
#include "support/schedules.hpp"

using namespace dtcalc;

namespace {

std::vector<StageSeconds> equal_stages(std::int64_t stages, StageSeconds work) {
  return std::vector<StageSeconds>(static_cast<std::size_t>(stages), work);
}

}  // namespace

TEST_CASE("the step bound of equal stages with free transfers is the closed form, bit by bit", "[schedule]") {
  // Durations are multiples of 6, so that a third and a half of them are exact.
  for (const StageSeconds work : {StageSeconds{6, 6, 6}, StageSeconds{12, 18, 6}, StageSeconds{6, 12, 0}})
    for (std::int64_t P = 1; P <= 8; ++P)
      for (std::int64_t m = 1; m <= 4 * P; ++m) {
        CAPTURE(P, m, work.forward, work.backward_input, work.backward_weight);
        const std::vector<StageSeconds> stages = equal_stages(P, work);
        const Seconds forward(work.forward), backward(work.backward_input + work.backward_weight);
        const double whole = formulas::pipeline_step_time(P, m, 1, forward, backward).value();
        CHECK(step_bound(PipelineSchedule::gpipe, stages, 1, m, 0) == whole);
        CHECK(step_bound(PipelineSchedule::one_f_one_b, stages, 1, m, 0) == whole);
        if (m % P == 0)
          for (std::int64_t v = 2; v <= 3; ++v)
            CHECK(step_bound(PipelineSchedule::interleaved, stages, v, m, 0) ==
                  static_cast<double>(m * v + P - 1) * ((forward + backward).value() / static_cast<double>(v)));
        if (m >= P)
          CHECK(step_bound(PipelineSchedule::zero_bubble, stages, 1, m, 0) ==
                static_cast<double>(m) * (forward + backward).value() +
                    static_cast<double>(P - 1) * (work.forward + work.backward_input - work.backward_weight));
      }
}

TEST_CASE("live chunks are those of the closed form, and ZB-H1 holds everywhere what 1F1B holds first", "[schedule]") {
  for (std::int64_t P = 1; P <= 8; ++P)
    for (std::int64_t m = 1; m <= 4 * P; ++m)
      for (std::int64_t stage = 0; stage < P; ++stage) {
        CAPTURE(P, m, stage);
        using Closed = formulas::PipelineSchedule;
        CHECK(live_chunks(PipelineSchedule::gpipe, P, 1, m, stage) ==
              formulas::pipeline_in_flight(Closed::gpipe, P, m, 1, stage));
        CHECK(live_chunks(PipelineSchedule::one_f_one_b, P, 1, m, stage) ==
              formulas::pipeline_in_flight(Closed::one_f_one_b, P, m, 1, stage));
        for (std::int64_t v = 2; v <= 3; ++v)
          CHECK(live_chunks(PipelineSchedule::interleaved, P, v, m, stage) ==
                formulas::pipeline_in_flight(Closed::interleaved, P, m, v, stage));
        CHECK(live_chunks(PipelineSchedule::zero_bubble, P, 1, m, stage) ==
              live_chunks(PipelineSchedule::one_f_one_b, P, 1, m, 0));
      }
}

TEST_CASE("a slow stage, a transfer and a further micro-batch each cost what they must", "[schedule]") {
  std::vector<StageSeconds> stages = equal_stages(4, {1, 1, 1});
  stages[2] = {2, 2, 2};
  // GPipe: two flow shops; fill and drain pass every stage once, the slowest works on the rest.
  CHECK(step_bound(PipelineSchedule::gpipe, stages, 1, 8, 0) == 5 + 10 + 7 * (2 + 4));
  CHECK(step_bound(PipelineSchedule::gpipe, stages, 1, 8, 0.5) == 5 + 10 + 7 * (2 + 4) + 6 * 0.5);
  // 1F1B: fill 2, drain 4, 8 x 6 of work; before its first backward pass the slow stage has a forward pass (2) to do
  // while the last stage takes 3 for the first micro-batch.
  CHECK(step_bound(PipelineSchedule::one_f_one_b, stages, 1, 8, 0) == 2 + (3 - 2) + 8 * 6 + 4);
  for (const PipelineSchedule schedule :
       {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble})
    for (std::int64_t m = 1; m <= 16; ++m) {
      CAPTURE(static_cast<int>(schedule), m);
      const double step = step_bound(schedule, stages, 1, m, 0.25);
      CHECK(step >= static_cast<double>(m) * 6);
      CHECK(step_bound(schedule, stages, 1, m + 1, 0.25) >= step + (m >= 4 ? 6 : 2));
      CHECK(step_bound(schedule, stages, 1, m, 0.5) >= step + 3 * 0.25);
    }
}

TEST_CASE("GPipe's bound is exact when links are slower than stages", "[schedule]") {
  for (std::int64_t m = 1; m <= 8; ++m) {
    const ScheduleShape shape{PipelineSchedule::gpipe, 3, 1, m};
    ScheduleCosts costs = test::equal_costs(shape, 2, 2, 2);
    for (StageCost& s : costs.stages) s.send_activation = s.send_gradient = Seconds(10);
    CHECK(step_bound(shape.schedule, equal_stages(3, {2, 2, 2}), 1, m, 10) ==
          play(*make_schedule(shape), costs)->step.value());
  }
}

TEST_CASE("the step bound of uneven stages and transfers stays as near to the player as its header says",
          "[schedule]") {
  struct Recorded {
    PipelineSchedule schedule;
    double mean, most;
  };
  // costmodel/schedule/bound.hpp prints these figures.
  for (const Recorded recorded :
       {Recorded{PipelineSchedule::gpipe, 0, 0}, Recorded{PipelineSchedule::one_f_one_b, 0.0015, 0.036},
        Recorded{PipelineSchedule::interleaved, 0.0051, 0.062},
        Recorded{PipelineSchedule::zero_bubble, 0.0015, 0.081}}) {
    std::mt19937 random(7);
    const auto draw = [&](double low, double high) {
      return low + (high - low) * static_cast<double>(random()) / 4294967296.0;
    };
    double sum = 0, most = 0;
    constexpr int layouts = 2000;
    for (int n = 0; n < layouts; ++n) {
      ScheduleShape shape{recorded.schedule, static_cast<std::int64_t>(2 + random() % 7), 1, 1};
      const bool interleaved = recorded.schedule == PipelineSchedule::interleaved;
      shape.chunks = interleaved ? static_cast<std::int64_t>(2 + random() % 2) : 1;
      shape.micro_batches = interleaved
                                ? shape.stages * static_cast<std::int64_t>(1 + random() % 4)
                                : static_cast<std::int64_t>(1 + random() % static_cast<unsigned>(4 * shape.stages));
      const double transfer = draw(0, 0.1);
      ScheduleCosts costs = test::equal_costs(shape, 0, 0, 0);
      std::vector<StageSeconds> stages;
      for (std::size_t s = 0; s < costs.stages.size(); ++s) {
        const double forward = draw(0.5, 1.5);
        stages.push_back({forward, forward * draw(0.95, 1.25), forward * draw(0.75, 1)});
        costs.stages[s].send_activation = costs.stages[s].send_gradient = Seconds(transfer);
        for (std::int64_t c = 0; c < shape.chunks; ++c) {
          ChunkCost& chunk = costs.chunks[s * static_cast<std::size_t>(shape.chunks) + static_cast<std::size_t>(c)];
          const auto parts = static_cast<double>(shape.chunks);
          chunk.forward = Seconds(stages.back().forward / parts);
          chunk.backward_input = Seconds(stages.back().backward_input / parts);
          chunk.backward_weight = Seconds(stages.back().backward_weight / parts);
        }
      }
      const double played = play(*make_schedule(shape), costs)->step.value();
      const double error =
          std::abs(step_bound(shape.schedule, stages, shape.chunks, shape.micro_batches, transfer) / played - 1);
      sum += error, most = std::max(most, error);
    }
    CAPTURE(static_cast<int>(recorded.schedule));
    CHECK(sum / layouts <= recorded.mean + 1e-12);
    CHECK(most <= recorded.most + 1e-12);
    CHECK(sum / layouts >= 0.8 * recorded.mean);  // the header says no more than is true
  }
}
