#include "costmodel/schedule/play.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>

namespace dtcalc {
namespace {

constexpr std::size_t nothing = std::numeric_limits<std::size_t>::max();
constexpr std::int32_t no_stage = -1;

/// A message between stages: when its sender had computed it and when the receiver has it. Not sent yet: below 0.
struct Message {
  double computed = -1, arrived = -1;
};

/// A stage while the schedule is played.
struct Stage {
  std::size_t next = 0, end = 0;           ///< instructions
  double compute = 0, send = 0, data = 0;  ///< when each stream becomes free
  double last_pass = 0;                    ///< duration
  double reduced = 0;                      ///< end of the reduction that holds up the next pass
  Message received;                        ///< what the next pass waits for
  std::int64_t live = 0;                   ///< chunks
  std::int64_t bytes = 0;
  std::size_t waits_for = nothing;  ///< message
};

class Player {
 public:
  Player(const Schedule& schedule, const ScheduleCosts& costs, std::vector<Event>* events)
      : schedule_(schedule),
        costs_(costs),
        events_(events),
        chunks_(static_cast<std::size_t>(schedule.shape.chunks)),
        messages_(2 * passes()),
        stages_(count()),
        gathered_(costs.chunks.size(), 0.0) {
    assert(costs.stages.size() == count() && costs.chunks.size() == count() * chunks_);
    played_.stages.resize(count());
    if (events_) events_->assign(schedule.instructions.size(), Event{{Op::forward}, no_stage, {}, {}, {}});
  }

  Result<Played> run() {
    std::vector<std::size_t> ready;
    for (std::size_t s = count(); s-- > 0;) {
      stages_[s].next = schedule_.begin[s], stages_[s].end = schedule_.begin[s + 1];
      stages_[s].bytes = costs_.stages[s].persistent.value();
      played_.stages[s].peak = costs_.stages[s].persistent;
      ready.push_back(s);
    }
    while (!ready.empty()) {
      const std::size_t s = ready.back();
      ready.pop_back();
      advance(s, ready);
    }
    for (std::size_t s = 0; s < count(); ++s)
      if (stages_[s].next < stages_[s].end) return stuck(s);
    finish();
    return std::move(played_);
  }

 private:
  std::size_t count() const { return schedule_.begin.size() - 1; }
  std::size_t passes() const {
    return count() * static_cast<std::size_t>(schedule_.shape.chunks * schedule_.shape.micro_batches);
  }

  /// Of the message that this receive waits for, or this send fills: activations, then gradients, by receiving chunk.
  std::size_t message_of(std::size_t stage, const Instruction& i) const {
    const auto chunk_of_model = static_cast<std::int64_t>(stage) + i.chunk * schedule_.shape.stages;
    const bool activation = i.op == Op::send_activation || i.op == Op::receive_activation;
    const std::int64_t to = i.op == Op::send_activation ? chunk_of_model + 1
                            : i.op == Op::send_gradient ? chunk_of_model - 1
                                                        : chunk_of_model;
    return (activation ? 0 : passes()) + static_cast<std::size_t>(to * schedule_.shape.micro_batches + i.micro_batch);
  }

  const ChunkCost& chunk(std::size_t stage, const Instruction& i) const {
    return costs_.chunks[stage * chunks_ + static_cast<std::size_t>(i.chunk)];
  }

  std::int64_t gather_parts(std::size_t stage, const Instruction& i) const {
    return schedule_.shape.overlap_gather ? chunk(stage, i).gather_parts : 1;
  }
  std::int64_t reduce_parts(std::size_t stage, const Instruction& i) const {
    return schedule_.shape.overlap_reduce ? chunk(stage, i).reduce_parts : 1;
  }

  /// Runs a stage until its list ends or it waits for a message that is not sent yet.
  void advance(std::size_t s, std::vector<std::size_t>& ready) {
    Stage& stage = stages_[s];
    for (; stage.next < stage.end; ++stage.next) {
      const Instruction& i = schedule_.instructions[stage.next];
      switch (i.op) {
        case Op::forward:
          pass(s, i, chunk(s, i).forward.value());
          break;
        case Op::backward:
          pass(s, i, chunk(s, i).backward_input.value() + chunk(s, i).backward_weight.value());
          break;
        case Op::backward_input:
          pass(s, i, chunk(s, i).backward_input.value());
          break;
        case Op::backward_weight:
          pass(s, i, chunk(s, i).backward_weight.value());
          break;
        case Op::send_activation:
          send(s, i, costs_.stages[s].send_activation.value(), ready);
          break;
        case Op::send_gradient:
          send(s, i, costs_.stages[s].send_gradient.value(), ready);
          break;
        case Op::receive_activation:
        case Op::receive_gradient: {
          const std::size_t message = message_of(s, i);
          if (messages_[message].arrived < 0) {
            stage.waits_for = message;
            return;
          }
          stage.received = messages_[message];
          break;
        }
        case Op::gather:
          data(s, stage.compute, chunk(s, i).gather.value());
          gathered_[s * chunks_ + static_cast<std::size_t>(i.chunk)] = stage.data;
          break;
        case Op::reduce:
          data(s, stage.compute - hidden(chunk(s, i).reduce, stage.last_pass, reduce_parts(s, i)),
               chunk(s, i).reduce.value());
          if (!schedule_.shape.overlap_reduce) stage.reduced = stage.data;
          break;
        case Op::optimizer:
          break;  // when all stages are here: finish()
      }
    }
  }

  void record(std::size_t s, Stream stream, double start, double end) {
    if (events_)
      (*events_)[stages_[s].next] = {schedule_.instructions[stages_[s].next], static_cast<std::int32_t>(s), stream,
                                     Seconds(start), Seconds(end)};
  }

  void pass(std::size_t s, const Instruction& i, double duration) {
    Stage& stage = stages_[s];
    StagePlayed& played = played_.stages[s];
    // What the stage waits for, in this order: the sender's compute, the transfer, data-parallel traffic.
    const double computed = std::max(stage.compute, stage.received.computed);
    const double arrived = std::max(computed, stage.received.arrived);
    const double gathered = i.op == Op::backward_weight  // which reads no parameters
                                ? 0
                                : gathered_[s * chunks_ + static_cast<std::size_t>(i.chunk)] -
                                      hidden(chunk(s, i).gather, duration, gather_parts(s, i));
    const double start = std::max({arrived, gathered, stage.reduced}), end = start + duration;
    played.bubble += Seconds(computed - stage.compute);
    played.exposed_transfer += Seconds(arrived - computed);
    played.exposed_data += Seconds(start - arrived);
    played.compute += Seconds(duration);
    stage.received = {};
    stage.compute = end;
    stage.last_pass = duration;
    record(s, Stream::compute, start, end);
    if (i.op == Op::forward) {
      stage.bytes += chunk(s, i).live.value();
      played.live_chunks = std::max(played.live_chunks, ++stage.live);
      if (stage.bytes > played.peak.value()) played.peak = Bytes(stage.bytes), played.peak_at = Seconds(start);
    } else if (i.op != Op::backward_input) {
      stage.bytes -= chunk(s, i).live.value();
      --stage.live;
    }
  }

  void send(std::size_t s, const Instruction& i, double duration, std::vector<std::size_t>& ready) {
    Stage& stage = stages_[s];
    const double start = std::max(stage.compute, stage.send);
    stage.send = start + duration;
    record(s, Stream::send, start, stage.send);
    const std::size_t message = message_of(s, i);
    messages_[message] = {stage.compute, stage.send};
    const auto peer = static_cast<std::size_t>(i.peer);
    if (stages_[peer].waits_for != message) return;
    stages_[peer].waits_for = nothing;
    ready.push_back(peer);
  }

  /// What of a traffic runs beside the pass whose parameters it brings or whose gradients it takes.
  static double hidden(Seconds traffic, double pass, std::int64_t parts) {
    return std::min(traffic.value(), pass) * static_cast<double>(parts - 1) / static_cast<double>(parts);
  }

  void data(std::size_t s, double ready, double duration) {
    Stage& stage = stages_[s];
    const double start = std::max(ready, stage.data);
    stage.data = start + duration;
    record(s, Stream::data, start, stage.data);
  }

  /// The optimizer steps, and what is left of the step after them.
  void finish() {
    double slowest = 0, step = 0;
    for (const Stage& stage : stages_) slowest = std::max({slowest, stage.compute, stage.data});
    for (std::size_t s = 0; s < count(); ++s) {
      Stage& stage = stages_[s];
      StagePlayed& played = played_.stages[s];
      const double reduced = std::max(stage.compute, stage.data), start = costs_.global_norm ? slowest : reduced;
      played.exposed_data += Seconds(reduced - stage.compute);
      played.bubble += Seconds(start - reduced);
      played.optimizer = costs_.stages[s].optimizer;
      stage.compute = start + played.optimizer.value();
      stage.next = stage.end - 1;
      record(s, Stream::compute, start, stage.compute);
      step = std::max(step, stage.compute);
    }
    played_.step = Seconds(step);
    for (std::size_t s = 0; s < count(); ++s) played_.stages[s].bubble += Seconds(step - stages_[s].compute);
    if (events_) std::erase_if(*events_, [](const Event& e) { return e.stage == no_stage; });
  }

  Error stuck(std::size_t s) const {
    const Instruction& i = schedule_.instructions[stages_[s].next];
    return {fmt::format("stage {}", s),
            fmt::format("{} of chunk {}, micro-batch {}", name_of(i.op), i.chunk, i.micro_batch),
            "waits for a message that is never sent: the lists are in deadlock", "make them with make_schedule"};
  }

  const Schedule& schedule_;
  const ScheduleCosts& costs_;
  std::vector<Event>* events_;
  const std::size_t chunks_;
  std::vector<Message> messages_;
  std::vector<Stage> stages_;
  std::vector<double> gathered_;  ///< end of each chunk's last gather
  Played played_;
};

}  // namespace

const char* name_of(Stream stream) {
  constexpr const char* names[] = {"compute", "send", "data"};
  return names[static_cast<std::size_t>(stream)];
}

Result<Played> play(const Schedule& schedule, const ScheduleCosts& costs, std::vector<Event>* events) {
  return Player(schedule, costs, events).run();
}

std::vector<MemoryStep> memory_over_time(const Schedule& schedule, const ScheduleCosts& costs,
                                         const std::vector<Event>& events, std::int64_t stage) {
  std::int64_t bytes = costs.stages[static_cast<std::size_t>(stage)].persistent.value();
  std::vector<MemoryStep> steps{{Seconds(0), Bytes(bytes)}};
  for (const Event& e : events) {  // a stage's compute is in the order of time
    const Op op = e.instruction.op;
    if (e.stage != stage || (op != Op::forward && op != Op::backward && op != Op::backward_weight)) continue;
    const auto chunk = static_cast<std::size_t>(stage * schedule.shape.chunks + e.instruction.chunk);
    const std::int64_t live = costs.chunks[chunk].live.value();
    bytes += op == Op::forward ? live : -live;
    steps.push_back({op == Op::forward ? e.start : e.end, Bytes(bytes)});
  }
  return steps;
}

}  // namespace dtcalc
