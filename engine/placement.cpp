#include "engine/placement.hpp"

#include <cmath>

namespace dtcalc {
namespace {

/// The residual stream at the lower (`incoming`) or upper border of a segment. It lies in the slot of whoever keeps it
/// for the backward pass: the next segment as its input, or the segment that made it; otherwise in the boundary buffer.
std::int64_t residual(const Binding& b, std::int64_t layer, bool incoming) {
  const std::int64_t maker = incoming ? layer - 1 : layer;
  const auto slot = [&](std::int64_t owner, std::int16_t index) {
    const std::size_t at_layer = static_cast<std::size_t>(owner + 1);
    return b.plan.slots + b.shift + b.slot_start[at_layer] +
           b.plan.segment[b.segment_index[at_layer]].saved[static_cast<std::size_t>(index)];
  };
  const LoweredSegment& user = segment_of(b, maker + 1);
  if (maker + 1 < b.layers && user.input_saved)
    return slot(maker + 1, user.forward.location[static_cast<std::size_t>(user.residual_in)].index);
  const LoweredSegment& made = segment_of(b, maker);
  const Location location = made.forward.location[static_cast<std::size_t>(made.residual_out)];
  if (location.region == Region::saved) return slot(maker, location.index);
  return b.plan.boundary_residual + b.shift;
}

}  // namespace

std::int64_t offset_of(const Binding& b, const LoweredSegment& s, const Program& program, TensorId tensor,
                       std::int64_t layer, bool forward) {
  if (tensor == kNone) return kNowhere;
  const Location location = program.location[static_cast<std::size_t>(tensor)];
  const std::size_t index = static_cast<std::size_t>(location.index), at_layer = static_cast<std::size_t>(layer + 1);
  const SegmentPlan& plan = b.plan.segment[b.segment_index[at_layer]];
  switch (location.region) {
    case Region::none:
      return kNowhere;
    case Region::parameter:
    case Region::gradient: {
      const std::int64_t element = s.parameters[index].tied ? element_of(b, -1, 0)  // the prologue's table
                                                            : element_of(b, layer, index);
      return location.region == Region::parameter ? b.plan.parameters + parameter_bytes(b, element)
                                                  : b.plan.gradients + gradient_bytes(b, element);
    }
    case Region::input:
      return (location.index == 0 ? b.plan.tokens : b.plan.targets) + b.shift;
    case Region::saved:
      return b.plan.slots + b.shift + b.slot_start[at_layer] + plan.saved[index];
    case Region::boundary:
      if (location.index == 1) return b.plan.boundary_delta + b.shift;
      return forward ? residual(b, layer, tensor == s.residual_in) : b.plan.boundary_residual + b.shift;
    case Region::boundary_gradient:
      return b.plan.boundary_gradient + b.shift;
    case Region::scratch:
      return b.plan.scratch + b.shift + (forward ? plan.forward : plan.backward)[index];
  }
  return kNowhere;
}

std::int64_t elements_of(const Binding& b, const LoweredSegment& s, TensorId tensor) {
  const Extent& extent = s.tensors[static_cast<std::size_t>(tensor)].elements;
  std::int64_t value = extent.factor;
  for (int i = 0; i < extent.length; ++i) value *= b.symbol(extent.symbols[static_cast<std::size_t>(i)]);
  return value;
}

double attention_scale(const Model& model) {
  switch (model.attention_scale) {
    case AttentionScale::given:
      return model.attention_scale_value;
    case AttentionScale::inverse_head_size:
      return 1 / static_cast<double>(model.head_size);
    case AttentionScale::inverse_sqrt_head_size:
      break;
  }
  return 1 / std::sqrt(static_cast<double>(model.head_size));
}

std::int64_t rotary_size(const Model& model) {
  if (model.position != Position::rope) return 0;
  return model.rope.rotary_size > 0 ? model.rope.rotary_size : model.head_size;
}

double dropout_of(const Model& model, const Kernel& kernel) {
  if (!kernel.drops) return 0;
  return kernel.site == 0   ? model.embedding_dropout
         : kernel.site == 1 ? model.attention_dropout
                            : model.residual_dropout;
}

std::int64_t first_position(const Model& model) {
  return model.position == Position::learned ? position_rows(model) - model.max_sequence : 0;
}

}  // namespace dtcalc
