#include "costmodel/lower/eager.hpp"

#include <algorithm>

namespace dtcalc {
namespace {

/// Passes over an operator's elements beside those of the fused kernel: in 4 bytes and in the width of activations.
struct Chain {
  std::uint8_t wide_reads, wide_writes, narrow_reads, narrow_writes, launches;
};

/// torchtitan's RMSNorm (torchtitan/models/norms.py, 2024-12) is cast, square, mean, add, rsqrt, multiply, cast,
/// multiply; its gradient is PyTorch's derivative of each. Its rotary embedding (models/llama/model.py) is cast,
/// complex product, cast, both ways. cross_entropy over `pred.float()` is cast, log-softmax, loss; then the gradient of
/// the loss, of the log-softmax, cast.
Chain chain_of(Contract contract, const Choices& c) {
  switch (contract) {
    case Contract::norm:
      return c.fuse_norm ? Chain{} : Chain{4, 3, 1, 1, 7};
    case Contract::norm_backward:
      return c.fuse_norm ? Chain{} : Chain{11, 8, 3, 2, 15};
    case Contract::rope:
    case Contract::rope_backward:
      return c.fuse_rope ? Chain{} : Chain{2, 2, 0, 0, 2};
    case Contract::loss_max:
      return c.copy_logits ? Chain{0, 1, 0, 0, 0} : Chain{};
    case Contract::loss_sum:
      return c.copy_logits ? Chain{1, 1, 0, 0, 0} : Chain{};
    case Contract::loss_backward:
      return c.copy_logits ? Chain{3, 2, 0, 0, 2} : Chain{};
    default:
      return {};
  }
}

void add_traffic(const Choices& c, Program& program) {
  std::vector<Traffic> traffic;
  for (Kernel& kernel : program.kernels) {
    const auto begin = static_cast<std::uint16_t>(traffic.size());
    traffic.insert(traffic.end(), program.traffic.begin() + kernel.traffic_begin,
                   program.traffic.begin() + kernel.traffic_end);
    const Chain chain = chain_of(kernel.contract, c);
    if (chain.wide_writes > 0)
      traffic.push_back({kernel.elements, Width::statistic, chain.wide_reads, chain.wide_writes});
    if (chain.narrow_writes > 0)
      traffic.push_back({kernel.elements, Width::activation, chain.narrow_reads, chain.narrow_writes});
    kernel.more_launches = chain.launches;
    kernel.traffic_begin = begin;
    kernel.traffic_end = static_cast<std::uint16_t>(traffic.size());
  }
  program.traffic = std::move(traffic);
}

/// The loss's tensors of 4 bytes: a copy of the logits until the loss is known, their log-softmax from there to its
/// gradient, and that gradient. With logits and their gradient in 2 bytes each that makes 10 bytes a logit in the
/// forward pass and 12 in the backward pass, as when cross_entropy's six tensors follow each other.
void add_loss_copies(const Segment& s, ExtentTable& extents, Program& program) {
  const auto kernel_of = [&](Contract contract) {
    const auto found = std::find_if(program.kernels.begin(), program.kernels.end(),
                                    [&](const Kernel& k) { return k.contract == contract; });
    return found == program.kernels.end() ? -1 : static_cast<int>(found - program.kernels.begin());
  };
  const int cast = kernel_of(Contract::loss_max), softmax = kernel_of(Contract::loss_sum),
            loss = kernel_of(Contract::loss_target), gradient = kernel_of(Contract::loss_backward);
  if (cast < 0 || softmax < 0 || loss < 0) return;
  const TensorId logits = program.kernels[static_cast<std::size_t>(cast)].operands[0];
  const ExtentId extent = extents.id(s.tensors[logits].elements);
  const auto keep = [&](int first, int last) {
    program.scratch.push_back(
        {logits, extent, Width::statistic, static_cast<std::int16_t>(first), static_cast<std::int16_t>(last), true});
  };
  keep(cast, loss);
  keep(softmax, std::max(loss, gradient));
  if (gradient >= 0) keep(gradient, gradient);
}

}  // namespace

void add_eager_copies(const Segment& s, const Choices& c, ExtentTable& extents, LoweredSegment& out) {
  for (Program* program : {&out.forward, &out.backward}) {
    add_traffic(c, *program);
    if (c.copy_logits) add_loss_copies(s, extents, *program);
  }
  const auto save = [&](TensorId t) {
    out.saved.push_back({t, extents.id(s.tensors[t].elements), s.tensors[t].width});
  };
  const auto is_saved = [&](TensorId t) {
    return std::any_of(out.saved.begin(), out.saved.end(), [&](const SavedTensor& saved) { return saved.tensor == t; });
  };
  if (out.backward.kernels.empty()) return;
  if (!c.fuse_norm && c.recompute == Recompute::none)  // x in 4 bytes rather than 2, and x / rms(x) before the gain
    for (const Kernel& kernel : out.forward.kernels)
      if (kernel.contract == Contract::norm) save(kernel.operands[0]), save(kernel.operands[0]);
  if (c.keep_unread_results && c.recompute == Recompute::per_operator)
    for (const Kernel& kernel : out.forward.kernels)
      if (const TensorId t = kernel.operands[2]; kernel.contract == Contract::product && t != kNone)
        if (s.tensors[t].kept_per_operator && !is_saved(t)) save(t);
}

}  // namespace dtcalc
