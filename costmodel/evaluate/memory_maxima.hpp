// The most that each category of memory takes at any instant of a step, and the kernel at which the step peaks. Called
// by `estimate`; the hot path has the composition at the peak alone.
#pragma once

#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc {

/// On a device of the stage where memory peaks. What placement leaves free and workspaces have no maximum of their own.
struct MemoryMaxima {
  Bytes parameters{0}, gradients{0}, optimizer{0};  ///< the same all the time
  Bytes activations{0};       ///< all saved, handed over, and the most scratch of any kernel, without logits
  Bytes logits{0};            ///< of any kernel: in the head, whichever segment the peak is in
  Name kernel = Name::count;  ///< group of the kernel at the peak: where the peak's program has most alive
};

/// `totals` is the evaluation of the same scenario and work.
MemoryMaxima memory_maxima(const Scenario& scenario, Work work, const Totals& totals);

}  // namespace dtcalc
