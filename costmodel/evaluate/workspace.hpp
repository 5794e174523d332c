// Scratch that the CPU kernels ask for beside their operands: part of their contract, held equal to the kernels' own
// functions by a test.
#pragma once

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The largest workspace of any CPU kernel of this scenario, for a pool of `scenario.hardware.multiprocessors` threads.
Bytes cpu_workspace(const Scenario& scenario, bool training);

}  // namespace dtcalc
