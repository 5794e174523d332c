#include "costmodel/lower/recomputation.hpp"

#include <algorithm>
#include <span>

#include "costmodel/lower/operands.hpp"

namespace dtcalc {
namespace {

/// The backward list with `replay` put before the first operator that reads what it makes. Where nothing is computed
/// again, each gathering of shards stands before its own first reader.
std::vector<Operator> before_first_reader(const Segment& s, const Choices& c, std::span<const Operator> replay) {
  const std::size_t step = c.recompute == Recompute::none ? 1 : std::max<std::size_t>(1, replay.size());
  std::vector<Operator> result = s.backward;
  for (std::size_t from = 0; from < replay.size(); from += step) {
    const auto part = replay.subspan(from, std::min(step, replay.size() - from));
    std::vector<bool> made(s.tensors.size(), false);
    for (const Operator& op : part)
      for (TensorId t : op.outputs)
        if (t != kNone) made[storage_of(s, t)] = true;
    const auto reader = std::find_if(result.begin(), result.end(), [&](const Operator& op) {
      return std::any_of(op.inputs.begin(), op.inputs.end(),
                         [&](TensorId t) { return t != kNone && made[storage_of(s, t)]; });
    });
    result.insert(reader, part.begin(), part.end());
  }
  return result;
}

}  // namespace

bool is_dropped(const Tensor& tensor, Recompute recompute) {
  if (tensor.role != Role::activation || tensor.input) return false;
  if (tensor.regathered) return true;
  if (recompute == Recompute::full) return !tensor.checkpoint;
  if (recompute == Recompute::per_operator) return !tensor.checkpoint && !tensor.kept_per_operator;
  return recompute == Recompute::selective && tensor.core;
}

std::vector<Operator> with_recomputation(const Segment& s, const Choices& c, ExtentTable& extents) {
  if ((c.recompute == Recompute::none && !c.sequence) || s.backward.empty()) return s.backward;
  std::vector<bool> made(s.tensors.size(), false);  // by this segment's forward pass
  for (const Operator& op : s.forward)
    for (TensorId t : op.outputs)
      if (t != kNone) made[t] = true;
  const auto dropped = [&](TensorId t) { return made[t] && is_dropped(s.tensors[t], c.recompute); };

  std::vector<bool> wanted(s.tensors.size(), false);
  for (const Kernel& kernel : lower_operators(s.backward, s, c, extents).kernels)
    for_operands(kernel, [&](TensorId t, const OperandRole& role) {
      if (reads(role.access) && dropped(t)) wanted[t] = true;
    });
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return s.backward;

  std::vector<Operator> replay;
  for (auto op = s.forward.rbegin(); op != s.forward.rend(); ++op) {
    const TensorId first = storage_of(s, op->outputs[0]);
    bool needed =
        c.recompute_segment && (c.recompute == Recompute::full ? !s.tensors[first].checkpoint
                                                               : c.recompute == Recompute::selective && op->core);
    for (TensorId t : op->outputs) needed = needed || (t != kNone && wanted[storage_of(s, t)]);
    if (!needed) continue;
    for (TensorId alias : op->inputs) {
      const TensorId t = storage_of(s, alias);
      if (t != kNone && (dropped(t) || (made[t] && s.tensors[t].kept_inside))) wanted[t] = true;
    }
    replay.push_back(*op);
    replay.back().replay = true;
    replay.back().flop.factor = 0;  // recomputation is not part of the model's FLOPs
  }
  std::reverse(replay.begin(), replay.end());
  return before_first_reader(s, c, replay);
}

Segment with_kept_results(Segment s, const Choices& c) {
  int products = 0;
  for (const Operator& op : s.forward) {
    const bool attention = op.core || op.kind == OperatorKind::scores || op.kind == OperatorKind::context;
    const bool kept =
        (attention && c.keep_attention_result) || (op.kind == OperatorKind::product && ++products % 2 == 1);
    for (const TensorId t : op.outputs)
      if (kept && t != kNone) s.tensors[storage_of(s, t)].kept_per_operator = true;
  }
  return s;
}

}  // namespace dtcalc
