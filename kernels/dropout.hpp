// Names of dropout masks. The bits are those of engine/cpu/philox.hpp: Philox4x32-10 of (key, element index), so a mask
// of the CPU and of the GPU are the same. Included by the headers of the kernels with dropout.
#pragma once

#include <cstdint>

#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// As dtcalc::cpu::DropoutKey. `state` (device memory) may be given: its step then replaces `step`.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t micro_batch = 0;
  std::uint32_t layer = 0;
  std::uint32_t op = 0;
  const StepState* state = nullptr;
};

}  // namespace dtcalc::cuda
