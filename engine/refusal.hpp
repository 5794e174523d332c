// What no backend of the engine runs, whatever its kernels: said before anything is allocated. Called by the refusals
// of the CPU and the CUDA backend.
#pragma once

#include <optional>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Models that are no decoder-only language models, and training that is not of a model's own weights on its own loss.
[[nodiscard]] std::optional<Error> refuse_beyond_language(const Scenario& scenario);

}  // namespace dtcalc
