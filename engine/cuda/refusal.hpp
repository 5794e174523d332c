// What a scenario asks and the CUDA backend cannot do, said before anything is allocated. Called by make_cuda_engine.
#pragma once

#include <optional>

#include "costmodel/error.hpp"
#include "costmodel/evaluate/workspace.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::cuda {

/// Stack, precision, layout and shapes that the kernels do not take.
[[nodiscard]] std::optional<Error> refuse(const Scenario& scenario);

/// The most scratch that a kernel of this scenario asks for, by the kernels' own functions.
std::int64_t kernel_workspace_bytes(const Scenario& scenario);

/// A defect of this program: the ledger plans less temporary memory than a kernel asks for.
[[nodiscard]] std::optional<Error> refuse_workspace(const Scenario& scenario, const CudaWorkspace& workspace);

}  // namespace dtcalc::cuda
