// The player against closed forms (equal stages) and against a brute-force scheduler that knows the schedules by their
// definitions only (everything uneven, with communication).
#include "costmodel/schedule/play.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/schedule/bound.hpp"
#include "support/catch.hpp"
#include "support/schedules.hpp"

using namespace dtcalc;

namespace {

using Key = std::tuple<std::int64_t, Op, std::int64_t, std::int64_t>;  // stage, what, chunk, micro-batch

/// A step as constraints: start >= the end of every predecessor. Solved by relaxing until nothing moves.
class BruteForce {
 public:
  BruteForce(const ScheduleShape& shape, const ScheduleCosts& costs) : shape_(shape), costs_(costs) {
    for (std::int64_t stage = 0; stage < shape.stages; ++stage) add_stage(stage);
    for (std::int64_t stage = 0; stage < shape.stages && costs.global_norm; ++stage)
      for (std::int64_t other = 0; other < shape.stages; ++other)
        for (const Key& key : before_optimizer_[other])
          nodes_.at({stage, Op::optimizer, 0, last()}).after.push_back({key});
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [key, node] : nodes_)
        for (const After& after : node.after) {
          const Node& predecessor = nodes_.at(after.key);
          const double earliest = predecessor.start + (after.start ? 0 : predecessor.duration) + after.lag;
          if (earliest > node.start) node.start = earliest, moved = true;
        }
    }
  }

  std::map<Key, std::pair<double, double>> times() const {
    std::map<Key, std::pair<double, double>> result;
    for (const auto& [key, node] : nodes_) result[key] = {node.start, node.start + node.duration};
    return result;
  }

 private:
  /// `lag` after the end, or the start, of another node.
  struct After {
    Key key;
    bool start = false;
    double lag = 0;
  };
  struct Node {
    double duration = 0, start = 0;
    std::vector<After> after;
  };

  std::int64_t last() const { return shape_.micro_batches - 1; }

  /// The passes of a stage from what defines the schedule: how many activations may be alive (forward passes without
  /// their backward pass), how many backward passes may be without weight gradients, forward before backward; and the
  /// order in which micro-batches take the chunks.
  std::vector<Key> passes(std::int64_t stage) const {
    const std::int64_t P = shape_.stages, v = shape_.chunks, m = shape_.micro_batches, i = stage;
    const bool split = shape_.schedule == PipelineSchedule::zero_bubble;
    const std::int64_t may_live = shape_.schedule == PipelineSchedule::gpipe         ? m
                                  : shape_.schedule == PipelineSchedule::interleaved ? 2 * (P - i - 1) + (v - 1) * P + 1
                                                                                     : P - i;
    std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>> forward, backward;  // round, chunk in turn, batch
    for (std::int64_t b = 0; b < m; ++b)
      for (std::int64_t c = 0; c < v; ++c) forward.emplace_back(v > 1 ? b / P : 0, c, b);
    std::sort(forward.begin(), forward.end());
    backward = forward;  // the chunks in turn from the last
    std::vector<Key> order;
    std::size_t f = 0, b = 0, w = 0;
    const std::size_t all = forward.size();
    const auto key = [&](Op op, std::size_t k) {
      const auto& [round, chunk, batch] = op == Op::forward ? forward[k] : backward[k];
      return Key{stage, op, op == Op::forward ? chunk : v - 1 - chunk, batch};
    };
    while (b < all || (split && w < all)) {
      if (split && static_cast<std::int64_t>(b - w) > i)
        order.push_back(key(Op::backward_weight, w++));
      else if (f < all && static_cast<std::int64_t>(f - b) < may_live)
        order.push_back(key(Op::forward, f++));
      else if (b < all)
        order.push_back(key(split ? Op::backward_input : Op::backward, b++));
      else
        order.push_back(key(Op::backward_weight, w++));
    }
    return order;
  }

  void add_stage(std::int64_t stage) {
    const bool split = shape_.schedule == PipelineSchedule::zero_bubble;
    const Op backward = split ? Op::backward_input : Op::backward;
    const std::vector<Key> order = passes(stage);
    const Key* previous = nullptr;
    std::vector<Key> sends, data;
    const auto queue = [&](std::vector<Key>& stream, const Key& key, double duration) {
      Node& node = nodes_[key];
      node.duration = duration;
      if (previous) node.after.push_back({*previous});
      if (!stream.empty()) node.after.push_back({stream.back()});
      stream.push_back(key);
    };
    for (std::int64_t c = 0; c < shape_.chunks && shape_.gather == DataTraffic::per_step; ++c) {
      const std::int64_t chunk = shape_.overlap_gather ? c : shape_.chunks - 1 - c;
      queue(data, {stage, Op::gather, chunk, 0}, cost(stage, chunk).gather.value());
    }
    Key reduced{stage, Op::reduce, -1, 0};  // the last reduction
    const auto reduce = [&](const Key& pass) {
      const auto [s, op, chunk, batch] = pass;
      const ChunkCost& c = cost(stage, chunk);
      reduced = {stage, Op::reduce, chunk, batch};
      queue(data, reduced, c.reduce.value());
      // Part j of the gradients is there after part j of the pass, and is sent after the parts before it.
      Node& node = nodes_[reduced];
      node.after.front() = {pass, true, 0};  // the pass need not have ended
      const std::int64_t count = shape_.overlap_reduce ? c.reduce_parts : 1;
      const auto parts = static_cast<double>(count);
      for (std::int64_t j = 0; j < count; ++j)
        node.after.push_back({pass, true,
                              static_cast<double>(j + 1) * nodes_.at(pass).duration / parts -
                                  static_cast<double>(j) * c.reduce.value() / parts});
    };
    for (std::size_t k = 0; k < order.size(); ++k) {
      const auto [s, op, chunk, batch] = order[k];
      const ChunkCost& c = cost(stage, chunk);
      // Forward and backward gathers of one chunk and micro-batch are told apart by the sign.
      const bool every_pass = shape_.gather == DataTraffic::per_micro_batch;
      const Key gathered{stage, Op::gather, chunk, !every_pass ? 0 : op == Op::forward ? batch : -1 - batch};
      if (every_pass && op != Op::backward_weight) queue(data, gathered, c.gather.value());
      Node& node = nodes_[order[k]];
      node.duration = op == Op::forward          ? c.forward.value()
                      : op == Op::backward       ? c.backward_input.value() + c.backward_weight.value()
                      : op == Op::backward_input ? c.backward_input.value()
                                                 : c.backward_weight.value();
      if (previous) node.after.push_back({*previous});
      if (!shape_.overlap_reduce && std::get<2>(reduced) >= 0) node.after.push_back({reduced});
      const std::int64_t count = shape_.overlap_gather ? c.gather_parts : 1;
      const auto parts = static_cast<double>(count);
      for (std::int64_t j = 0; j < count && op != Op::backward_weight && shape_.gather != DataTraffic::none; ++j)
        node.after.push_back(
            {gathered, true,  // part j of the pass starts after part j of the gather
             static_cast<double>(j + 1) * c.gather.value() / parts - static_cast<double>(j) * node.duration / parts});
      // Where in the model this chunk is, and whose output it waits for.
      const std::int64_t P = shape_.stages, here = chunk * P + stage, final = P * shape_.chunks - 1;
      const auto neighbour = [&](std::int64_t other, Op sends_it, Op computes_it) {
        const Op what = P > 1 ? sends_it : computes_it;
        node.after.push_back({{other % P, what, other / P, batch}});
      };
      if (op == Op::forward && here > 0) neighbour(here - 1, Op::send_activation, Op::forward);
      if (op == backward && here < final) neighbour(here + 1, Op::send_gradient, backward);
      previous = &order[k];
      if (P > 1 && op == Op::forward && here < final)
        queue(sends, {stage, Op::send_activation, chunk, batch},
              costs_.stages[std::size_t(stage)].send_activation.value());
      if (P > 1 && op == backward && here > 0)
        queue(sends, {stage, Op::send_gradient, chunk, batch}, costs_.stages[std::size_t(stage)].send_gradient.value());
      const bool reduces = shape_.reduce == DataTraffic::per_micro_batch ||
                           (shape_.reduce == DataTraffic::per_step && batch == last() && shape_.overlap_reduce);
      if (reduces && op == (split ? Op::backward_weight : Op::backward)) reduce(order[k]);
    }
    for (std::int64_t c = shape_.chunks; c-- > 0 && shape_.reduce == DataTraffic::per_step && !shape_.overlap_reduce;) {
      queue(data, {stage, Op::reduce, c, last()}, cost(stage, c).reduce.value());
    }
    Node& optimizer = nodes_[{stage, Op::optimizer, 0, last()}];
    optimizer.duration = costs_.stages[std::size_t(stage)].optimizer.value();
    before_optimizer_[stage] = {order.back()};
    if (!data.empty()) before_optimizer_[stage].push_back(data.back());
    for (const Key& key : before_optimizer_[stage]) optimizer.after.push_back({key});
  }

  const ChunkCost& cost(std::int64_t stage, std::int64_t chunk) const {
    return costs_.chunks[std::size_t(stage * shape_.chunks + chunk)];
  }

  const ScheduleShape& shape_;
  const ScheduleCosts& costs_;
  std::map<Key, Node> nodes_;
  std::map<std::int64_t, std::vector<Key>> before_optimizer_;
};

std::map<Key, std::pair<double, double>> times_of(const Schedule& schedule, const std::vector<Event>& events) {
  std::map<Key, std::pair<double, double>> times;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, bool> gathered;
  for (const Event& e : events) {
    std::int64_t batch = e.instruction.micro_batch;
    if (e.instruction.op == Op::gather && schedule.shape.gather == DataTraffic::per_micro_batch) {
      bool& forward_done = gathered[{e.stage, e.instruction.chunk, batch}];
      if (forward_done) batch = -1 - batch;
      forward_done = true;
    }
    times[{e.stage, e.instruction.op, e.instruction.chunk, batch}] = {e.start.value(), e.end.value()};
  }
  return times;
}

}  // namespace

TEST_CASE("equal stages with free transfers take the closed form's time, bit by bit", "[schedule]") {
  test::for_shapes(
      8, [](std::int64_t P) { return 4 * P; },
      [](const ScheduleShape& shape) {
        for (const StageSeconds work : {StageSeconds{6, 6, 6}, StageSeconds{12, 18, 6}, StageSeconds{6, 12, 18}}) {
          CAPTURE(static_cast<int>(shape.schedule), shape.stages, shape.chunks, shape.micro_batches,
                  work.backward_weight);
          const ScheduleCosts costs = test::equal_costs(shape, work.forward, work.backward_input, work.backward_weight);
          const Played played = *play(*make_schedule(shape), costs);
          const std::vector<StageSeconds> stages(static_cast<std::size_t>(shape.stages), work);
          CHECK(played.step.value() == step_bound(shape.schedule, stages, shape.chunks, shape.micro_batches, 0));
          const std::int64_t P = shape.stages, m = shape.micro_batches, v = shape.chunks;
          const double whole = work.forward + work.backward_input + work.backward_weight;
          // The closed form of the errata, in units of a chunk's work so that no division rounds.
          if (shape.schedule != PipelineSchedule::zero_bubble)
            CHECK(played.step.value() == static_cast<double>(m * v + P - 1) * (whole / static_cast<double>(v)));
          for (std::int64_t stage = 0; stage < P; ++stage) {
            const StagePlayed& s = played.stages[static_cast<std::size_t>(stage)];
            CHECK(s.live_chunks == live_chunks(shape.schedule, P, v, m, stage));
            CHECK(s.compute.value() == static_cast<double>(m) * whole);
            CHECK(s.bubble == played.step - s.compute);
            if (shape.schedule != PipelineSchedule::zero_bubble)
              CHECK_THAT(s.bubble / played.step,
                         Catch::Matchers::WithinULP(formulas::pipeline_bubble_fraction(P, m, v), 4));
            CHECK(s.peak == Bytes(s.live_chunks));
          }
        }
      });
}

TEST_CASE("uneven stages, transfers and data-parallel traffic: every event is where brute force puts it",
          "[schedule]") {
  unsigned seed = 0;
  test::for_shapes(
      4, [](std::int64_t) { return 8; },
      [&](ScheduleShape shape) {
        for (unsigned variant = 0; variant < 3; ++variant) {
          shape.gather = static_cast<DataTraffic>(variant);
          shape.reduce = static_cast<DataTraffic>((variant + seed) % 3);
          shape.overlap_gather = seed % 2 == 0, shape.overlap_reduce = seed % 3 == 0;
          const ScheduleCosts costs = test::random_costs(shape, ++seed);
          CAPTURE(static_cast<int>(shape.schedule), shape.stages, shape.chunks, shape.micro_batches, seed);
          const Schedule schedule = *make_schedule(shape);
          std::vector<Event> events;
          const Played played = *play(schedule, costs, &events);
          const auto expected = BruteForce(shape, costs).times();
          CHECK(times_of(schedule, events) == expected);
          double step = 0;
          for (const auto& [key, time] : expected) step = std::max(step, time.second);
          CHECK(played.step.value() == step);
          CHECK(play(schedule, costs)->step == played.step);
          for (std::int64_t i = 0; i < shape.stages; ++i) {
            const StagePlayed& s = played.stages[static_cast<std::size_t>(i)];
            CHECK(s.compute + s.optimizer + s.exposed_transfer + s.exposed_data + s.bubble == played.step);
            // Uneven times change who waits, not how many activations live.
            CHECK(s.live_chunks == live_chunks(shape.schedule, shape.stages, shape.chunks, shape.micro_batches, i));
            const std::vector<MemoryStep> memory = memory_over_time(schedule, costs, events, i);
            Bytes peak{0};
            Seconds at{-1};
            for (const MemoryStep& step_of_memory : memory) {
              if (step_of_memory.bytes > peak) peak = step_of_memory.bytes, at = step_of_memory.at;
            }
            CHECK(peak == s.peak);
            CHECK(at == s.peak_at);
            CHECK(memory.back().bytes == costs.stages[static_cast<std::size_t>(i)].persistent);
          }
        }
      });
}

TEST_CASE("what a stage waits for is told apart: stages, transfers, data-parallel traffic", "[schedule]") {
  // Two stages, one micro-batch: F on 0 ends at 2, arrives at 5; F and B on 1 until 5+2+4 = 11; arrives at 12; B on 0
  // until 16. Reductions of 10 start at 11 on stage 1 and at 16 on stage 0; optimizers take 1.
  ScheduleShape shape{PipelineSchedule::one_f_one_b, 2, 1, 1, DataTraffic::none, DataTraffic::per_step};
  ScheduleCosts costs = test::equal_costs(shape, 2, 3, 1);
  for (ChunkCost& c : costs.chunks) c.reduce = Seconds(10);
  for (StageCost& s : costs.stages)
    s.send_activation = Seconds(3), s.send_gradient = Seconds(1), s.optimizer = Seconds(1);
  const Played own = *play(*make_schedule(shape), costs);
  CHECK(own.step == Seconds(27));
  CHECK(own.stages[0].bubble == Seconds(9));  // from 2 until stage 1 has computed at 11
  CHECK(own.stages[0].exposed_transfer == Seconds(1));
  CHECK(own.stages[0].exposed_data == Seconds(10));
  CHECK(own.stages[1].bubble == Seconds(2 + 5));  // until stage 0 has computed; from 22 to the end at 27
  CHECK(own.stages[1].exposed_transfer == Seconds(3));
  CHECK(own.stages[1].exposed_data == Seconds(10));
  // Clipping by the norm over all stages holds stage 1 until stage 0 has reduced; the end does not move.
  costs.global_norm = true;
  std::vector<Event> events;
  const Played clipped = *play(*make_schedule(shape), costs, &events);
  CHECK(clipped.step == Seconds(27));
  CHECK(events.back().instruction.op == Op::optimizer);
  CHECK(events.back().start == Seconds(26));
}

TEST_CASE("a reduction hides behind the backward passes of earlier chunks", "[schedule]") {
  ScheduleShape shape{PipelineSchedule::interleaved, 2, 2, 4, DataTraffic::none, DataTraffic::per_step};
  ScheduleCosts costs = test::equal_costs(shape, 2, 2, 2);
  for (ChunkCost& c : costs.chunks) c.reduce = Seconds(1);
  // The later chunk's reduction hides behind the earlier chunk's backward passes; the earlier chunk's does not.
  const Played played = *play(*make_schedule(shape), costs);
  CHECK(played.stages[0].exposed_data == Seconds(1));
  CHECK(played.stages[1].exposed_data == Seconds(1));
  shape.chunks = 1, shape.schedule = PipelineSchedule::one_f_one_b;
  costs = test::equal_costs(shape, 2, 2, 2);
  for (ChunkCost& c : costs.chunks) c.reduce = Seconds(2);
  CHECK(play(*make_schedule(shape), costs)->stages[0].exposed_data == Seconds(2));
}

TEST_CASE("lists in deadlock are refused with the stage that waits", "[schedule]") {
  Schedule schedule = *make_schedule({PipelineSchedule::one_f_one_b, 2, 1, 2});
  for (Instruction& i : schedule.instructions)
    if (i.op == Op::send_gradient && i.micro_batch == 1) i.micro_batch = 0;
  const Result<Played> played = play(schedule, test::equal_costs(schedule.shape, 1, 1, 1));
  REQUIRE_FALSE(played);
  CHECK(describe(played.errors()) ==
        "stage 0: receive_gradient of chunk 0, micro-batch 1 waits for a message that is never sent: the lists are in "
        "deadlock; make them with make_schedule");
}
