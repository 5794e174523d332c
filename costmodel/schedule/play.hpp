// Plays a schedule with given durations, stream by stream, and says when everything happens. `dtcalc simulate` prints
// what it returns; the closed forms of bound.hpp are held against it.
//
// A stage has three streams: compute; sends to other stages, one after the other; data-parallel traffic (gather,
// reduce), one after the other. Each stream executes in the order of the stage's list (schedule.hpp says what waits for
// what), so every start is the latest of a few ends and one pass over the lists suffices: the time is proportional to
// the instructions. Data-parallel replicas run in step, so one replica's stages are the whole cluster.
#pragma once

#include <vector>

#include "costmodel/schedule/costs.hpp"
#include "costmodel/schedule/schedule.hpp"

namespace dtcalc {

enum class Stream : std::uint8_t { compute, send, data };

/// The enumerator's own name.
const char* name_of(Stream stream);

/// One instruction as it ran. Receives are no events: a transfer is its send, which ends when the peer has it.
struct Event {
  Instruction instruction;
  std::int32_t stage;
  Stream stream;
  Seconds start, end;
};

/// How a stage spent the step. The five times add up to the step.
struct StagePlayed {
  Seconds compute{0};            ///< forward and backward passes
  Seconds optimizer{0};          ///< the update
  Seconds exposed_transfer{0};   ///< waiting while an input was on its way between stages
  Seconds exposed_data{0};       ///< waiting for gathers and reductions
  Seconds bubble{0};             ///< waiting for other stages to compute, and for the end of the step
  std::int64_t live_chunks = 0;  ///< most (micro-batch, chunk) pairs alive at once
  Bytes peak{0};                 ///< most memory: persistent and live chunks
  Seconds peak_at{0};            ///< when that is first reached
};

struct Played {
  Seconds step{0};
  std::vector<StagePlayed> stages;
};

/// Times of `schedule`, whose stages and chunks `costs` must have. `events`, when given, receives every instruction but
/// receives, stage by stage in the order of their lists. Refused: a schedule whose receives no send answers.
Result<Played> play(const Schedule& schedule, const ScheduleCosts& costs, std::vector<Event>* events = nullptr);

/// Memory of a stage as steps: `bytes` from `at` on.
struct MemoryStep {
  Seconds at;
  Bytes bytes;
};

/// The memory of one stage over the step, from the events of `play`.
std::vector<MemoryStep> memory_over_time(const Schedule& schedule, const ScheduleCosts& costs,
                                         const std::vector<Event>& events, std::int64_t stage);

}  // namespace dtcalc
