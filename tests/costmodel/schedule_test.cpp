// The instruction lists: every pass once and in its order, no deadlock, refusals.
#include "costmodel/schedule/schedule.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "support/catch.hpp"
#include "support/schedules.hpp"

using namespace dtcalc;

namespace {

bool is_send(Op op) { return op == Op::send_activation || op == Op::send_gradient; }
bool is_receive(Op op) { return op == Op::receive_activation || op == Op::receive_gradient; }
bool is_pass(Op op) { return op <= Op::backward_weight; }

/// "F0 F1 B0 …", of the chunk's letter ("F0b") when there are several; sends and receives are left out.
std::string passes_of(const Schedule& schedule, std::int64_t stage) {
  std::string text;
  for (const Instruction& i : schedule.stage(stage)) {
    if (!is_pass(i.op)) continue;
    const char letter = i.op == Op::forward ? 'F' : i.op == Op::backward_weight ? 'W' : 'B';
    if (!text.empty()) text += ' ';
    text += letter;
    text += std::to_string(i.micro_batch);
    if (schedule.shape.chunks > 1) text += static_cast<char>('a' + i.chunk);
  }
  return text;
}

/// What travels between two stages: payload, chunk of the model that receives it, micro-batch.
using Message = std::tuple<bool, std::int64_t, std::int32_t>;

Message message_of(const ScheduleShape& shape, std::int64_t stage, const Instruction& i) {
  const std::int64_t here = i.chunk * shape.stages + stage;
  const std::int64_t to = i.op == Op::send_activation ? here + 1 : i.op == Op::send_gradient ? here - 1 : here;
  return {i.op == Op::send_activation || i.op == Op::receive_activation, to, i.micro_batch};
}

}  // namespace

TEST_CASE("each schedule is the one of its paper", "[schedule]") {
  const auto passes = [](PipelineSchedule kind, std::int64_t P, std::int64_t v, std::int64_t m, std::int64_t stage) {
    return passes_of(*make_schedule({kind, P, v, m}), stage);
  };
  CHECK(passes(PipelineSchedule::gpipe, 3, 1, 3, 1) == "F0 F1 F2 B0 B1 B2");
  CHECK(passes(PipelineSchedule::one_f_one_b, 4, 1, 5, 0) == "F0 F1 F2 F3 B0 F4 B1 B2 B3 B4");
  CHECK(passes(PipelineSchedule::one_f_one_b, 4, 1, 5, 3) == "F0 B0 F1 B1 F2 B2 F3 B3 F4 B4");
  // Narayanan et al. 2021b, figure 4: four devices, two chunks, eight micro-batches.
  CHECK(passes(PipelineSchedule::interleaved, 4, 2, 8, 3) ==
        "F0a F1a F2a F3a F0b B0b F1b B1b F2b B2b F3b B3b F4a B0a F5a B1a F6a B2a F7a B3a "
        "F4b B4b F5b B5b F6b B6b F7b B7b B4a B5a B6a B7a");
  // Qi et al. 2023, figure 3 above: four stages; later stages let more weight gradients wait.
  CHECK(passes(PipelineSchedule::zero_bubble, 4, 1, 5, 0) == "F0 F1 F2 F3 B0 W0 F4 B1 W1 B2 W2 B3 W3 B4 W4");
  CHECK(passes(PipelineSchedule::zero_bubble, 4, 1, 5, 3) == "F0 B0 F1 B1 F2 B2 F3 B3 W0 F4 B4 W1 W2 W3 W4");
}

TEST_CASE("every stage runs every pass of its chunks once, and its optimizer last", "[schedule]") {
  test::for_shapes(
      6, [](std::int64_t P) { return 3 * P; },
      [](const ScheduleShape& shape) {
        CAPTURE(static_cast<int>(shape.schedule), shape.stages, shape.chunks, shape.micro_batches);
        const Schedule schedule = *make_schedule(shape);
        const bool split = shape.schedule == PipelineSchedule::zero_bubble;
        for (std::int64_t stage = 0; stage < shape.stages; ++stage) {
          std::set<std::tuple<Op, std::int32_t, std::int32_t>> seen;
          std::int64_t passes = 0;
          for (const Instruction& i : schedule.stage(stage)) {
            if (!is_pass(i.op)) continue;
            ++passes;
            CHECK(seen.emplace(i.op, i.chunk, i.micro_batch).second);
            CHECK(
                (i.chunk >= 0 && i.chunk < shape.chunks && i.micro_batch >= 0 && i.micro_batch < shape.micro_batches));
            if (i.op != Op::forward) CHECK((i.op == Op::backward) == !split);
          }
          CHECK(passes == shape.chunks * shape.micro_batches * (split ? 3 : 2));
          CHECK(schedule.stage(stage).back().op == Op::optimizer);
        }
      });
}

TEST_CASE("each message has one sender and one receiver, and each pair of stages agrees on their order", "[schedule]") {
  test::for_shapes(
      8, [](std::int64_t P) { return 4 * P; },
      [](const ScheduleShape& shape) {
        CAPTURE(static_cast<int>(shape.schedule), shape.stages, shape.chunks, shape.micro_batches);
        const Schedule schedule = *make_schedule(shape);
        std::map<std::tuple<std::int64_t, std::int64_t, bool>, std::vector<Message>> sent,
            received;  // from, to, payload
        for (std::int64_t stage = 0; stage < shape.stages; ++stage)
          for (const Instruction& i : schedule.stage(stage)) {
            const Message message = message_of(shape, stage, i);
            const bool activation = std::get<0>(message);
            if (is_send(i.op)) sent[{stage, i.peer, activation}].push_back(message);
            if (is_receive(i.op)) received[{i.peer, stage, activation}].push_back(message);
          }
        CHECK(sent == received);
        std::size_t messages = 0;
        for (const auto& [channel, list] : sent) messages += list.size();
        const std::int64_t crossings = shape.stages > 1 ? shape.stages * shape.chunks - 1 : 0;
        CHECK(messages == static_cast<std::size_t>(2 * crossings * shape.micro_batches));
      });
}

TEST_CASE("no schedule deadlocks when sends do not block; without chunks, not even when they do", "[schedule]") {
  const bool blocking = GENERATE(false, true);
  test::for_shapes(
      8, [](std::int64_t P) { return 4 * P; },
      [blocking](const ScheduleShape& shape) {
        if (blocking && shape.chunks > 1) return;
        CAPTURE(static_cast<int>(shape.schedule), shape.stages, shape.chunks, shape.micro_batches, blocking);
        const Schedule schedule = *make_schedule(shape);
        // Stages post what stands before their next pass, and go on when each receive has met its send; if sends block,
        // when each send has met its receive too.
        std::vector<std::size_t> at(static_cast<std::size_t>(shape.stages), 0);
        std::set<Message> sends, receives;
        for (bool moved = true; moved;) {
          moved = false;
          for (std::int64_t stage = 0; stage < shape.stages; ++stage) {
            const auto list = schedule.stage(stage);
            std::size_t& next = at[static_cast<std::size_t>(stage)];
            for (bool met = true; met && next < list.size();) {
              std::size_t end = next;
              for (; end < list.size() && !is_pass(list[end].op); ++end) {
                const Message message = message_of(shape, stage, list[end]);
                if (is_send(list[end].op)) {
                  moved = sends.insert(message).second || moved;
                  met = met && (!blocking || receives.contains(message));
                } else if (is_receive(list[end].op)) {
                  moved = receives.insert(message).second || moved;
                  met = met && sends.contains(message);
                }
              }
              if (!met) break;
              next = std::min(end + 1, list.size());
              moved = true;
            }
          }
        }
        for (std::int64_t stage = 0; stage < shape.stages; ++stage)
          CHECK(at[static_cast<std::size_t>(stage)] == schedule.stage(stage).size());
      });
}

TEST_CASE("gathers and reductions are listed as often as they are asked for", "[schedule]") {
  const auto count = [](const ScheduleShape& shape, Op op) {
    const Schedule schedule = *make_schedule(shape);
    std::int64_t n = 0;
    for (const Instruction& i : schedule.stage(1)) n += i.op == op;
    return n;
  };
  using enum DataTraffic;
  CHECK(count({PipelineSchedule::interleaved, 2, 3, 4, none, none}, Op::gather) == 0);
  CHECK(count({PipelineSchedule::interleaved, 2, 3, 4, per_step, none}, Op::gather) == 3);
  CHECK(count({PipelineSchedule::interleaved, 2, 3, 4, none, per_step}, Op::reduce) == 3);
  CHECK(count({PipelineSchedule::interleaved, 2, 3, 4, per_micro_batch, none}, Op::gather) == 2 * 3 * 4);
  CHECK(count({PipelineSchedule::interleaved, 2, 3, 4, none, per_micro_batch}, Op::reduce) == 3 * 4);
  // Weight gradients read no parameters, and only they complete a reduction.
  CHECK(count({PipelineSchedule::zero_bubble, 2, 1, 4, per_micro_batch, per_micro_batch}, Op::gather) == 2 * 4);
  CHECK(count({PipelineSchedule::zero_bubble, 2, 1, 4, per_micro_batch, per_micro_batch}, Op::reduce) == 4);
}

TEST_CASE("a schedule that cannot be is refused with the place, the value and a way out", "[schedule]") {
  const auto refusal = [](const ScheduleShape& shape) { return describe(make_schedule(shape).errors()); };
  CHECK(refusal({PipelineSchedule::one_f_one_b, 4, 1, 0}) ==
        "micro-batches: 0 leave nothing to schedule; raise /training/global_batch to a micro-batch per replica");
  CHECK(refusal({PipelineSchedule::interleaved, 4, 2, 6}) ==
        "micro-batches: 6 are no multiple of the 4 stages, as the interleaved schedule needs; use a multiple of 4, or "
        "the 1f1b schedule");
  CHECK(refusal({PipelineSchedule::gpipe, 4, 2, 8}) ==
        "/training/parallel/virtual_stages: 2 chunks per stage do not go with the gpipe schedule; use 1, or the "
        "interleaved schedule");
  CHECK(refusal({PipelineSchedule::gpipe, 0, 1, 8}) ==
        "/training/parallel/pipeline: 0 is no number of stages; use 1 or more");
  CHECK(make_schedule({PipelineSchedule::gpipe, -1, -1, -1}).errors().size() == 3);
  const std::int64_t huge = std::int64_t{1} << 62;
  CHECK_THAT(refusal({PipelineSchedule::gpipe, huge, 1, huge}),
             Catch::Matchers::ContainsSubstring("more than 1000000 passes"));
  CHECK(make_schedule({PipelineSchedule::one_f_one_b, 1000, 1, 1000}));
}
