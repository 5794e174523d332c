// The draft of speculative decoding as a scenario of its own. Called by the loader, which reports what it cannot serve,
// and by the estimate of speculative decoding.
#pragma once

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// `draft` in the place of the scenario's model: same devices, software, batch and lengths; on the target's devices if
/// they cut it evenly, else on one. An error when it cannot serve the scenario's lengths.
Result<Scenario> drafting(const Scenario& scenario, const Model& draft);

}  // namespace dtcalc
