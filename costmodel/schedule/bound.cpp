#include "costmodel/schedule/bound.hpp"

#include <algorithm>
#include <cassert>

namespace dtcalc {
namespace {

/// What one candidate path knows of its stage and of the stages around it.
struct Path {
  double f, g, w;        ///< forward, backward (before it is handed on), weight gradients that can wait; of one chunk
  double round_trip;     ///< from the end of a forward pass here to the arrival of its gradient: all later stages
  double pair;           ///< work of this and the next stage with the transfers between them; 0 at the last
  std::int64_t stage;    ///< from 0
  std::int64_t behind;   ///< stages after it
  std::int64_t batches;  ///< micro-batches
};

/// Steady state of 1F1B at one stage: its own work per micro-batch, or a loop that is longer per micro-batch because
/// transfers stand in it. `wait` is what the stage does between backward and next forward pass. A window of n stages
/// hands on n micro-batches per loop; the shortest (two stages) and the widest (to the last) window suffice.
double period(const Path& p, double wait, std::int64_t loops) {
  double longest = p.f + p.g + wait;
  if (p.behind >= 1 && loops >= 2) longest = std::max(longest, (p.pair + wait) / 2);
  if (p.behind >= 1 && loops > p.behind)
    longest = std::max(longest, (p.f + p.g + p.round_trip + wait) / static_cast<double>(p.behind + 1));
  return longest;
}

/// From the first input of the stage to the end of its last backward pass.
double one_f_one_b(const Path& p) {
  const auto d = static_cast<double>(p.behind), others = static_cast<double>(p.batches - 1);
  if (p.batches <= p.behind + 1)  // all forward, then all backward
    return p.f + p.g + std::max(p.round_trip + others * std::max(p.f, p.g), others * (p.f + p.g));
  const std::int64_t loops = p.batches - p.behind - 1;
  return std::max(p.round_trip, d * p.f) + p.f + p.g + static_cast<double>(loops) * period(p, 0, loops) +
         std::max(p.round_trip, d * p.g);
}

/// The same for ZB-H1: weight gradients lag `stage` micro-batches behind, so the first loops run without them.
double zero_bubble(const Path& p) {
  const auto d = static_cast<double>(p.behind), others = static_cast<double>(p.batches - 1);
  if (p.batches <= p.behind + 1) {
    const auto weights = static_cast<double>(std::max<std::int64_t>(0, p.batches - 1 - p.stage));
    return p.f + p.g +
           std::max(std::max(p.round_trip, others * p.f) + others * p.g + weights * p.w, p.round_trip + others * p.f);
  }
  const std::int64_t loops = p.batches - p.behind - 1, without = std::min(loops, p.stage), with = loops - without;
  const auto last = static_cast<double>(std::max<std::int64_t>(0, p.batches - 1 - std::max(loops, p.stage)));
  return std::max(p.round_trip, d * p.f) + p.f + p.g + static_cast<double>(without) * period(p, 0, loops) +
         static_cast<double>(with) * period(p, p.w, loops) + std::max(p.round_trip, d * p.g + last * p.w);
}

/// The same for interleaved 1F1B. In the warm-up each further chunk waits until P micro-batches are through the one
/// before it here, or until the first has gone round all stages; backward likewise.
double interleaved(const Path& p, std::int64_t chunks, double forward_round, double backward_round) {
  const std::int64_t stages = p.stage + p.behind + 1, work = p.batches * chunks;
  const std::int64_t warm_up = 2 * p.behind + (chunks - 1) * stages;
  const auto wraps = static_cast<double>(chunks - 1), n = static_cast<double>(stages);
  const double forward = wraps * std::max(n * p.f, forward_round), backward = wraps * std::max(n * p.g, backward_round);
  if (work <= warm_up + 1)
    return forward + backward + p.round_trip + p.f + p.g +
           static_cast<double>(work - (chunks - 1) * stages - 1) * std::max(p.f, p.g);
  const auto warm = static_cast<double>(warm_up);
  return std::max(warm * p.f, forward + p.round_trip) + std::max(warm * p.g, backward + p.round_trip) +
         static_cast<double>(work - warm_up) * (p.f + p.g);
}

}  // namespace

std::int64_t live_chunks(PipelineSchedule schedule, std::int64_t stages, std::int64_t chunks,
                         std::int64_t micro_batches, std::int64_t stage) {
  switch (schedule) {
    case PipelineSchedule::gpipe:
      return micro_batches;
    case PipelineSchedule::one_f_one_b:
      return std::min(micro_batches, stages - stage);
    case PipelineSchedule::interleaved:
      return std::min(micro_batches * chunks, 2 * (stages - stage - 1) + (chunks - 1) * stages + 1);
    case PipelineSchedule::zero_bubble:
      return std::min(micro_batches, stages);
  }
  return 0;
}

namespace {

/// The longest path through a stage, over all stages. `own` gives a path's time from its first input to the end of its
/// last backward pass; with `split`, weight gradients wait.
template <bool split, class Own>
double longest_path(std::span<const StageSeconds> stages, double parts, std::int64_t micro_batches, double t,
                    double rest, Own own) {
  const auto count = static_cast<std::int64_t>(stages.size());
  struct Pass {
    double f, g;
  };
  const auto pass = [&](std::int64_t s) {
    const StageSeconds& stage = stages[static_cast<std::size_t>(s)];
    return Pass{stage.forward / parts,
                (split ? stage.backward_input : stage.backward_input + stage.backward_weight) / parts};
  };
  double fill = 0, drain = 0, longest = 0;  // rest: of the stages after this one
  Pass now = pass(0);
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t behind = count - 1 - s;
    const Pass next = behind > 0 ? pass(s + 1) : Pass{0, 0};
    rest -= now.f + now.g;
    const Path path{now.f,
                    now.g,
                    split ? stages[static_cast<std::size_t>(s)].backward_weight : 0,
                    rest + 2 * static_cast<double>(behind) * t,
                    behind > 0 ? now.f + now.g + next.f + next.g + 2 * t : 0,
                    s,
                    behind,
                    micro_batches};
    // After the last backward pass here: hand on to the first stage, or finish the weight gradients that waited.
    if (split) drain = std::max(drain, static_cast<double>(std::min(micro_batches, s + 1)) * path.w);
    longest = std::max(longest, fill + own(path) + drain);
    fill += now.f + t;
    drain += now.g + t;
    now = next;
  }
  return longest;
}

}  // namespace

double step_bound(PipelineSchedule schedule, std::span<const StageSeconds> stages, std::int64_t chunks,
                  std::int64_t micro_batches, double transfer_s) {
  assert(!stages.empty() && chunks >= 1 && micro_batches >= 1);
  const auto count = static_cast<std::int64_t>(stages.size());
  const auto parts = static_cast<double>(chunks);
  const double t = count > 1 ? transfer_s : 0;
  const bool split = schedule == PipelineSchedule::zero_bubble;
  const auto forward = [&](std::int64_t s) { return stages[static_cast<std::size_t>(s)].forward / parts; };
  const auto backward = [&](std::int64_t s) {
    const StageSeconds& stage = stages[static_cast<std::size_t>(s)];
    return (split ? stage.backward_input : stage.backward_input + stage.backward_weight) / parts;
  };
  double all_forward = 0, all_backward = 0, slowest_forward = t, slowest_backward = t;
  for (std::int64_t s = 0; s < count; ++s) {
    all_forward += forward(s), all_backward += backward(s);
    slowest_forward = std::max(slowest_forward, forward(s)), slowest_backward = std::max(slowest_backward, backward(s));
  }
  if (schedule == PipelineSchedule::gpipe)  // two flow shops of equal jobs, stages and links being the machines
    return all_forward + all_backward + 2 * static_cast<double>(count - 1) * t +
           static_cast<double>(micro_batches - 1) * (slowest_forward + slowest_backward);

  const double all = all_forward + all_backward;
  switch (schedule) {
    case PipelineSchedule::zero_bubble:
      return longest_path<true>(stages, parts, micro_batches, t, all, zero_bubble);
    case PipelineSchedule::interleaved:
      return longest_path<false>(stages, parts, micro_batches, t, all, [&](const Path& path) {
        return interleaved(path, chunks, all_forward + static_cast<double>(count) * t,
                           all_backward + static_cast<double>(count) * t);
      });
    default:
      return longest_path<false>(stages, parts, micro_batches, t, all, one_f_one_b);
  }
}

}  // namespace dtcalc
