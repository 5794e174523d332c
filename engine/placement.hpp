// Where a tensor of a program lies in the arena, and the values of a model that kernels take beside their operands.
// Called by the executors of all backends, so that they agree on every address.
#pragma once

#include <cstdint>

#include "engine/binding.hpp"

namespace dtcalc {

inline constexpr std::int64_t kNowhere = -1;

/// Byte offset of a tensor in the arena while a program runs over `layer` (-1 prologue, L epilogue); kNowhere for an
/// operand that does not exist or takes no memory. A tied head's matrix is the prologue's table.
std::int64_t offset_of(const Binding& binding, const LoweredSegment& segment, const Program& program, TensorId tensor,
                       std::int64_t layer, bool forward);

/// Bytes of a parameter (or of its gradient) from the region's start, from its offset in elements.
inline std::int64_t parameter_bytes(const Binding& binding, std::int64_t elements) {
  return bytes_of(elements, binding.sizes.state.weight);
}
inline std::int64_t gradient_bytes(const Binding& binding, std::int64_t elements) {
  return bytes_of(elements, binding.sizes.state.gradient);
}

/// Elements of a tensor of a segment.
std::int64_t elements_of(const Binding& binding, const LoweredSegment& segment, TensorId tensor);

/// Factor on q·k, (1.4) or what the model says instead.
double attention_scale(const Model& model);

/// Channels of a head that rotate; 0 without rotary positions.
std::int64_t rotary_size(const Model& model);

/// Probability to drop in a kernel.
double dropout_of(const Model& model, const Kernel& kernel);

/// First row of the position table that is used (OPT leaves two out).
std::int64_t first_position(const Model& model);

}  // namespace dtcalc
