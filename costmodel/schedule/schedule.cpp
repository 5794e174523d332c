#include "costmodel/schedule/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

/// One pass of a stage's compute stream.
struct Pass {
  Op op;
  std::int32_t chunk, micro_batch;
};

void add(std::vector<Pass>& passes, Op op, std::int64_t chunk, std::int64_t micro_batch) {
  passes.push_back({op, static_cast<std::int32_t>(chunk), static_cast<std::int32_t>(micro_batch)});
}

/// `warm_up` forward passes, then forward and backward in turns. GPipe is all warm-up.
void one_f_one_b(const ScheduleShape& shape, std::int64_t warm_up, std::vector<Pass>& passes) {
  const std::int64_t m = shape.micro_batches;
  for (std::int64_t k = 0; k < warm_up; ++k) add(passes, Op::forward, 0, k);
  for (std::int64_t k = 0; k < m; ++k) {
    if (warm_up + k < m) add(passes, Op::forward, 0, warm_up + k);
    add(passes, Op::backward, 0, k);
  }
}

/// The same over P micro-batches of one chunk, then P of the next, …
void interleaved(const ScheduleShape& shape, std::int64_t stage, std::vector<Pass>& passes) {
  const std::int64_t P = shape.stages, v = shape.chunks, work = shape.micro_batches * v;
  const std::int64_t warm_up = std::min(work, 2 * (P - stage - 1) + (v - 1) * P);
  const auto chunk = [&](std::int64_t k) { return k % (P * v) / P; };
  const auto micro_batch = [&](std::int64_t k) { return k / (P * v) * P + k % P; };
  for (std::int64_t k = 0; k < warm_up; ++k) add(passes, Op::forward, chunk(k), micro_batch(k));
  for (std::int64_t k = 0; k < work; ++k) {
    if (warm_up + k < work) add(passes, Op::forward, chunk(warm_up + k), micro_batch(warm_up + k));
    add(passes, Op::backward, v - 1 - chunk(k), micro_batch(k));
  }
}

/// 1F1B with split backward passes. A later stage, which has less to wait for, lets its weight gradients wait, so that
/// the gradients for the stages before come earlier, until it holds as many activations as the first stage.
void zero_bubble(const ScheduleShape& shape, std::int64_t stage, std::vector<Pass>& passes) {
  const std::int64_t m = shape.micro_batches, warm_up = std::min(m, shape.stages - 1 - stage);
  for (std::int64_t k = 0; k < warm_up; ++k) add(passes, Op::forward, 0, k);
  for (std::int64_t k = 0; k < m + stage; ++k) {
    if (warm_up + k < m) add(passes, Op::forward, 0, warm_up + k);
    if (k < m) add(passes, Op::backward_input, 0, k);
    if (k >= stage) add(passes, Op::backward_weight, 0, k - stage);
  }
}

/// The passes of one stage in their order: what makes a schedule the one it is.
void order_passes(const ScheduleShape& shape, std::int64_t stage, std::vector<Pass>& passes) {
  passes.clear();
  switch (shape.schedule) {
    case PipelineSchedule::gpipe:
      return one_f_one_b(shape, shape.micro_batches, passes);
    case PipelineSchedule::one_f_one_b:
      return one_f_one_b(shape, std::min(shape.micro_batches, shape.stages - 1 - stage), passes);
    case PipelineSchedule::interleaved:
      return interleaved(shape, stage, passes);
    case PipelineSchedule::zero_bubble:
      return zero_bubble(shape, stage, passes);
  }
}

/// Puts the communication between the passes of one stage.
class Lists {
 public:
  Lists(const ScheduleShape& shape, std::int64_t stage, std::vector<Instruction>& list)
      : shape_(shape), stage_(stage), list_(list) {}

  void add(const std::vector<Pass>& passes) {
    const auto chunks = static_cast<std::int32_t>(shape_.chunks);
    // The first pass is chunk 0's: when its gather is the last, that pass waits for all.
    for (std::int32_t c = 0; c < chunks && shape_.gather == DataTraffic::per_step; ++c)
      put(Op::gather, shape_.overlap_gather ? c : chunks - 1 - c, 0);
    for (const Pass& pass : passes) add(pass);
    for (std::int32_t c = chunks; c-- > 0 && shape_.reduce == DataTraffic::per_step && !shape_.overlap_reduce;)
      put(Op::reduce, c, last());
    put(Op::optimizer, 0, last());
  }

 private:
  std::int32_t last() const { return static_cast<std::int32_t>(shape_.micro_batches - 1); }

  void put(Op op, std::int32_t chunk, std::int32_t micro_batch, std::int64_t peer = -1) {
    list_.push_back({op, chunk, micro_batch, static_cast<std::int32_t>(peer)});
  }

  void add(const Pass& pass) {
    // The stages before and after this chunk of the model; a neighbour on the same stage needs no transfer.
    const bool alone = shape_.stages == 1, forward = pass.op == Op::forward;
    const bool first = stage_ == 0 && pass.chunk == 0;
    const bool final = stage_ == shape_.stages - 1 && pass.chunk == shape_.chunks - 1;
    const std::int64_t before = (stage_ + shape_.stages - 1) % shape_.stages, after = (stage_ + 1) % shape_.stages;
    if (shape_.gather == DataTraffic::per_micro_batch && pass.op != Op::backward_weight)  // which reads no parameters
      put(Op::gather, pass.chunk, pass.micro_batch);
    const bool crosses = !alone && pass.op != Op::backward_weight;
    if (crosses && forward && !first) put(Op::receive_activation, pass.chunk, pass.micro_batch, before);
    if (crosses && !forward && !final) put(Op::receive_gradient, pass.chunk, pass.micro_batch, after);
    put(pass.op, pass.chunk, pass.micro_batch);
    if (crosses && forward && !final) put(Op::send_activation, pass.chunk, pass.micro_batch, after);
    if (crosses && !forward && !first) put(Op::send_gradient, pass.chunk, pass.micro_batch, before);
    const bool finished = pass.op == Op::backward || pass.op == Op::backward_weight;
    if (finished && (shape_.reduce == DataTraffic::per_micro_batch ||
                     (shape_.reduce == DataTraffic::per_step && shape_.overlap_reduce && pass.micro_batch == last())))
      put(Op::reduce, pass.chunk, pass.micro_batch);
  }

  const ScheduleShape& shape_;
  const std::int64_t stage_;
  std::vector<Instruction>& list_;
};

std::vector<Error> refusals(const ScheduleShape& shape) {
  std::vector<Error> errors;
  const auto refuse = [&](const char* key, std::int64_t value, std::string reason, std::string way_out) {
    errors.push_back({key, fmt::format("{}", value), std::move(reason), std::move(way_out)});
  };
  constexpr const char* stages = "/training/parallel/pipeline";
  constexpr const char* chunks = "/training/parallel/virtual_stages";
  constexpr const char* micro_batches = "micro-batches";
  if (shape.stages < 1) refuse(stages, shape.stages, "is no number of stages", "use 1 or more");
  if (shape.chunks < 1) refuse(chunks, shape.chunks, "is no number of chunks", "use 1 or more");
  if (shape.micro_batches < 1)
    refuse(micro_batches, shape.micro_batches, "leave nothing to schedule",
           "raise /training/global_batch to a micro-batch per replica");
  if (!errors.empty()) return errors;
  const bool interleaved = shape.schedule == PipelineSchedule::interleaved;
  if (shape.chunks > 1 && !interleaved)
    refuse(chunks, shape.chunks,
           fmt::format("chunks per stage do not go with the {} schedule", name_of(shape.schedule)),
           "use 1, or the interleaved schedule");
  if (interleaved && shape.micro_batches % shape.stages != 0)
    refuse(
        micro_batches, shape.micro_batches,
        fmt::format("are no multiple of the {} stages, as the interleaved schedule needs", shape.stages),
        fmt::format("use a multiple of {}, or the {} schedule", shape.stages, name_of(PipelineSchedule::one_f_one_b)));
  if (shape.stages > most_passes / shape.chunks / shape.micro_batches)
    refuse(stages, shape.stages,
           fmt::format("stages x {} chunks x {} micro-batches are more than {} passes", shape.chunks,
                       shape.micro_batches, most_passes),
           "simulate fewer micro-batches: a step grows by the same time for each once the pipeline is full");
  return errors;
}

}  // namespace

const char* name_of(Op op) {
  constexpr const char* names[] = {
      "forward",       "backward",         "backward_input", "backward_weight", "send_activation", "receive_activation",
      "send_gradient", "receive_gradient", "gather",         "reduce",          "optimizer"};
  return names[static_cast<std::size_t>(op)];
}

Result<Schedule> make_schedule(const ScheduleShape& shape) {
  if (std::vector<Error> errors = refusals(shape); !errors.empty()) return errors;
  Schedule schedule{shape, {}, {0}};
  // Per pass a transfer in and out, for forward and backward; weight gradients and data traffic beside them.
  const bool data = shape.gather == DataTraffic::per_micro_batch || shape.reduce == DataTraffic::per_micro_batch;
  schedule.instructions.reserve(
      static_cast<std::size_t>(shape.stages * shape.chunks * shape.micro_batches * (data ? 10 : 7)));
  std::vector<Pass> passes;
  for (std::int64_t stage = 0; stage < shape.stages; ++stage) {
    order_passes(shape, stage, passes);
    Lists(shape, stage, schedule.instructions).add(passes);
    schedule.begin.push_back(schedule.instructions.size());
  }
  return schedule;
}

}  // namespace dtcalc
