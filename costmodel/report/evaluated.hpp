// A step or a service evaluated with everything recorded, model by model: what the sums of `explain` run over. Called
// by explain.cpp and by the tables of its quantities.
#pragma once

#include <optional>
#include <vector>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/evaluate/towers.hpp"

namespace dtcalc::report {

/// One of the models that a step runs; of a service its prefill or its decode step.
struct EvaluatedTower {
  Tower tower;
  Totals totals;  ///< of one run; of serving inside a step without the other replicas
  Details details;
  Sizes sizes;
  const Structure* structure = nullptr;
  double repetitions = 1;  ///< of its FLOPs in a step on all devices; `totals` count one
};

struct Evaluated {
  Scenario scenario;
  Totals totals;  ///< of the step; of a service those of the phase that needs more memory
  std::vector<EvaluatedTower> towers;
  std::optional<Serving> serving;  ///< then `towers` are prefill and decode
};

/// The scenario's training step.
Evaluated evaluated_step(const Scenario& scenario);

/// The scenario's serving: prefill, and a decode step halfway through the new tokens.
Evaluated evaluated_service(const Scenario& scenario);

/// The model that the scenario serves, for what does not depend on the phase: its prefill alone, as of a single step.
Evaluated evaluated_served_model(const Scenario& scenario);

/// Numbers of a tower on a device of the stage where its memory peaks.
struct DeviceParameters {
  std::int64_t all = 0, trained = 0, packed = 0;
  std::int64_t small = 0;  ///< of the trained ones in tensors that an 8-bit optimizer keeps wide
};
DeviceParameters device_parameters(const EvaluatedTower& tower);

}  // namespace dtcalc::report
