// What a schedule's instructions cost on each stage: input of the player. Made by stage_costs.hpp from a scenario, or
// by tests.
#pragma once

#include <cstdint>
#include <vector>

#include "costmodel/units.hpp"

namespace dtcalc {

/// One chunk of layers, for one micro-batch.
struct ChunkCost {
  Seconds forward{0};
  Seconds backward_input{0};   ///< gradients of activations, with `recompute`
  Seconds backward_weight{0};  ///< gradients of parameters
  Seconds recompute{0};        ///< part of backward_input: the forward operators run again
  Seconds gather{0};           ///< one all-gather of the chunk's parameters over the data-parallel ranks
  Seconds reduce{0};           ///< one reduction of the chunk's gradients over the data-parallel ranks
  /// Equal parts (layers) that are gathered, or reduced, one by one while the chunk computes: a pass starts with the
  /// first part, a reduction ends with the last part's after the pass. 1, or a schedule without overlap: as a whole.
  std::int64_t gather_parts = 1, reduce_parts = 1;
  Bytes live{0};  ///< saved from the forward to the end of the backward pass
};

struct StageCost {
  Seconds send_activation{0};  ///< one micro-batch to the next stage
  Seconds send_gradient{0};    ///< one micro-batch to the stage before
  Seconds optimizer{0};
  Bytes persistent{0};  ///< held all through the step
};

struct ScheduleCosts {
  std::vector<ChunkCost> chunks;  ///< of stage 0, 1, …: [stage * chunks per stage + chunk]
  std::vector<StageCost> stages;
  bool global_norm = false;  ///< the optimizer clips by the norm over all stages, so it waits for the slowest
};

}  // namespace dtcalc
