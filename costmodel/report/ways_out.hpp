// The nearest changes that make a training step fit, each with its cost in time. Called by `estimate`.
#pragma once

#include <string>
#include <vector>

#include "costmodel/scenario/scenario.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::report {

/// Changes of the scenario that together make it fit.
struct WayOut {
  std::vector<std::string> set;  ///< `training.recompute=full`, `training.micro_batch=4`
  Bytes total{0};
  Seconds step{0};
  double step_ratio = 1;  ///< step over that of the scenario as it is, if it had the memory
};

/// By step time. Along one axis at a time: the micro-batch; more recomputation, attention without S x S memory; on a
/// cluster a higher ZeRO stage, or tensor or pipeline ranks taken from the data ranks; on one device with links, more
/// devices that share the model by tensor parallelism. Each with the largest micro-batch up to the scenario's that
/// fits, and those of the layout with the recomputation that is fastest. `step` is the scenario's own.
std::vector<WayOut> ways_out(const Scenario& scenario, Seconds step);

}  // namespace dtcalc::report
