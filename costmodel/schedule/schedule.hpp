// The instruction lists of a pipeline schedule, one per stage, made here and nowhere else: the player (play.hpp) gives
// them times, an engine executes the same lists.
//
// A stage executes its list in order. Compute (`forward` … `backward_weight`, `optimizer`) runs one after the other.
// Communication listed between two computes starts when the first of them has ended; nothing waits for it but what
// needs it: a pass waits for the `receive` before it and for its chunk's `gather`, the optimizer for every `reduce`.
//
// No deadlock: between two stages, activations and gradients each arrive in the order in which they are sent, and a
// stage that waits at its receives, but not at its sends, never waits for ever. Without interleaving it may wait at its
// sends too, if all transfers between two passes are posted together (an NCCL group, batched isend and irecv);
// interleaved lists would then deadlock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/types.hpp"

namespace dtcalc {

enum class Op : std::uint8_t {
  forward,             ///< of a chunk of layers for one micro-batch
  backward,            ///< whole: gradients of activations and of parameters
  backward_input,      ///< gradients of activations only, which the stage before waits for
  backward_weight,     ///< gradients of parameters only, which nothing but the optimizer waits for
  send_activation,     ///< to the stage of the next chunk; `chunk` is the sender's
  receive_activation,  ///< from the stage of the chunk before; `chunk` is the receiver's
  send_gradient,       ///< to the stage of the chunk before; `chunk` is the sender's
  receive_gradient,    ///< from the stage of the next chunk; `chunk` is the receiver's
  gather,              ///< of a chunk's parameters over the data-parallel ranks
  reduce,              ///< of a chunk's gradients over the data-parallel ranks
  optimizer,           ///< last, once per stage
};

/// The enumerator's own name.
const char* name_of(Op op);

struct Instruction {
  Op op;
  std::int32_t chunk = 0;        ///< of the stage, from 0; 0 for the optimizer
  std::int32_t micro_batch = 0;  ///< from 0; the first or last when the instruction serves them all
  std::int32_t peer = -1;        ///< stage at the other end of a send or receive
};

/// How often the data-parallel ranks exchange a chunk's parameters or gradients.
enum class DataTraffic : std::uint8_t {
  none,
  per_step,  ///< gather before the chunk's first forward pass (ZeRO 1, 2), reduce after its last backward pass (0, 1)
  per_micro_batch,  ///< gather before every pass (ZeRO 3), reduce after every backward pass (ZeRO 2, 3)
};

struct ScheduleShape {
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  std::int64_t stages = 1;         ///< [P]
  std::int64_t chunks = 1;         ///< [v] of layers per stage; the model's chunk c P + i lies on stage i
  std::int64_t micro_batches = 1;  ///< [m]
  DataTraffic gather = DataTraffic::none;
  DataTraffic reduce = DataTraffic::none;
  bool overlap_gather = true;  ///< false: no pass runs before all gathers listed at the start
  bool overlap_reduce = true;  ///< false: gradients of a step are reduced after the last pass, and no pass runs beside
                               ///< the reduction of a micro-batch
};

struct Schedule {
  ScheduleShape shape;
  std::vector<Instruction> instructions;  ///< of stage 0, 1, …
  std::vector<std::size_t> begin;         ///< of each stage; one more entry than stages

  std::span<const Instruction> stage(std::int64_t index) const {
    const auto i = static_cast<std::size_t>(index);
    return std::span(instructions).subspan(begin[i], begin[i + 1] - begin[i]);
  }
};

/// Most forward passes (stages x chunks x micro-batches) of one schedule, which takes some 100 MB.
constexpr std::int64_t most_passes = 1'000'000;

/// The lists. GPipe (Huang et al. 2019) with backward passes in the order of the forward passes; 1F1B (PipeDream-flush,
/// Narayanan et al. 2021a); interleaved 1F1B in the order of Narayanan et al. 2021b (arXiv 2104.04473); ZB-H1 (Qi et
/// al. 2023, arXiv 2401.10241): 1F1B whose weight gradients lag `stage` micro-batches behind.
/// Refused: counts below 1, chunks without interleaving, interleaved micro-batches that P does not divide, and more
/// than `most_passes`.
Result<Schedule> make_schedule(const ScheduleShape& shape);

}  // namespace dtcalc
