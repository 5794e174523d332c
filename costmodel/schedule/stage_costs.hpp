// What each stage of a scenario's training step has to do: the one place where the schedule's player meets the cost
// model. Called by simulate (simulation.hpp).
#pragma once

#include "costmodel/scenario/scenario.hpp"
#include "costmodel/schedule/costs.hpp"
#include "costmodel/schedule/schedule.hpp"

namespace dtcalc {

/// A training step, ready to be scheduled and played.
struct StagedStep {
  ScheduleShape shape;
  ScheduleCosts costs;
};

/// The step of a scenario with training, from what `evaluate` adds up: kernels with their launches and the exposed
/// communication inside blocks; the layers of a stage are spread evenly over its chunks. What is not saved activations
/// (states, buffers, the most scratch of any kernel) is persistent here, so that a stage peaks where `estimate` says.
/// Without a pipeline the schedule is that of gradient accumulation: forward and backward in turns. Several towers, all
/// of the training kind, run one after the other in every pass: a frozen reference right before its policy.
StagedStep stage_costs(const Scenario& scenario);

}  // namespace dtcalc
