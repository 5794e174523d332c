// The scratch that the CPU kernels of a scenario ask for, from the kernels' own functions. The cost model has the same
// number by its contract (costmodel/evaluate/workspace.hpp); a test holds them equal.
#pragma once

#include <cstdint>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::cpu {

template <class T>
std::int64_t kernel_workspace_bytes(const Scenario& scenario, int threads);

}  // namespace dtcalc::cpu
