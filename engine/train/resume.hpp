// Whether a checkpoint belongs to the run that wants to go on from it. Called by the training loop.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/train/checkpoint.hpp"

namespace dtcalc {

/// One error per JSON pointer at which the scenario differs from the checkpoint's in something that changes the
/// numbers: model, attention, training, the software's kernels and tiles, the number of threads (partial sums are per
/// thread on the CPU). A run may go on on another kind of device, with its stack, attention and precision. Names,
/// sources, the device's rates and the inference section do not. `more_steps` allows a larger /training/steps.
std::vector<Error> differences(const RunState& state, const Scenario& scenario, const std::string& data,
                               bool more_steps);

}  // namespace dtcalc
