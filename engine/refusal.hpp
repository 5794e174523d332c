// What no backend of the engine runs, whatever its kernels: said before anything is allocated. Called by the refusals
// of the CPU and the CUDA backend.
#pragma once

#include <optional>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Models that are no decoder-only language models, training that is not of a model's own weights on its own loss, and
/// optimizers without a kernel.
[[nodiscard]] std::optional<Error> refuse_everywhere(const Scenario& scenario);

}  // namespace dtcalc
