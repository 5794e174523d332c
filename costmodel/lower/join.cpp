#include "costmodel/lower/join.hpp"

namespace dtcalc {
namespace {

bool is_weight_product(Contract c) {
  return c == Contract::product || c == Contract::product_input || c == Contract::product_weight;
}

/// Whether a kernel of this contract, in a group of this name, is not the first of its launch.
bool shares_launch(Contract contract, Name name, const Choices& c) {
  if (is_weight_product(contract))
    return (c.fuse_qkv && (name == Name::attention_key || name == Name::attention_value)) ||
           (c.fuse_gate_up && c.gated && name == Name::mlp_up);
  if (!c.fuse_rope_cache) return false;
  const bool rotates = contract == Contract::rope || contract == Contract::rope_backward;
  return (rotates && name == Name::attention_key_rope) || contract == Contract::cache_append;
}

}  // namespace

void join_launches(LoweredSegment& block, const Choices& choices) {
  for (Program* program : {&block.forward, &block.backward})
    for (Kernel& kernel : program->kernels) {
      kernel.joined = shares_launch(kernel.contract, program->groups[kernel.group].name, choices);
      if (!is_weight_product(kernel.contract)) continue;
      kernel.casts_apart = block.tensors[static_cast<std::size_t>(kernel.operands[0])].width == Width::fp8;
      kernel.block_weight = kernel.casts_apart || !choices.quantize;
    }
}

}  // namespace dtcalc
