// Step time and live activations of a pipeline schedule in closed form: what the hot path and the planner use instead
// of playing the schedule (play.hpp). No allocation, one pass over the stages.
//
// P stages, numbered from 0; v chunks of layers per stage (1 unless interleaved); m micro-batches per step.
#pragma once

#include <cstdint>
#include <span>

#include "costmodel/scenario/types.hpp"

namespace dtcalc {

/// Most (micro-batch, chunk) pairs whose activations `stage` holds at once: from the start of the forward pass to the
/// end of the backward pass, with the zero-bubble schedule to the end of the weight gradients.
///   gpipe         m
///   one_f_one_b   min(m, P - stage)
///   interleaved   min(m v, 2 (P - stage - 1) + (v - 1) P + 1), each pair being 1/v of the stage's layers
///   zero_bubble   min(m, P) on every stage: as 1F1B on its first stage (Qi et al. 2023, arXiv 2401.10241, ZB-H1)
std::int64_t live_chunks(PipelineSchedule schedule, std::int64_t stages, std::int64_t chunks,
                         std::int64_t micro_batches, std::int64_t stage);

/// Work of one stage for one micro-batch, all its chunks together. A backward pass that is not split in two takes the
/// sum of its parts. Without initializers: an evaluation has room for kMaxStages of them.
struct StageSeconds {
  double forward;
  double backward_input;   ///< gradients of activations, with what is recomputed for them
  double backward_weight;  ///< gradients of parameters
};

/// Time from the first forward to the end of the last backward pass, in seconds; `transfer_s` is one transfer of one
/// micro-batch between neighbouring stages. The bubble is this less m times the slowest stage's work. `stages` must not
/// be empty; chunks of a stage count as equal.
///
/// It is the longest of a few paths through the schedule's constraints: for every stage, fill (to reach it), its own
/// work with the round trips to the last stage that interrupt it, drain. Exact for equal stages and free transfers,
/// where it is (m + (P-1)/v) (forward + backward); for ZB-H1 m (f+b+w) + (P-1)(f+b-w) when m >= P and w <= b. GPipe is
/// exact for any stages and transfers; interleaved with equal stages, for any transfers that hide behind a chunk.
/// Against the player, over random layouts (P <= 8, m <= 4P; stages between 0.5 and 1.5 times the mean, transfers up to
/// a tenth of a stage's forward pass; tests/costmodel/schedule_bound_test.cpp), the error has a mean and largest of
///   one_f_one_b  0.15 % and 3.6 %;  interleaved  0.51 % and 6.2 %;  zero_bubble  0.15 % and 8.1 %.
double step_bound(PipelineSchedule schedule, std::span<const StageSeconds> stages, std::int64_t chunks,
                  std::int64_t micro_batches, double transfer_s);

}  // namespace dtcalc
