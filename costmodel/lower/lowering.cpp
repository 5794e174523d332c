#include "costmodel/lower/lowering.hpp"

#include <algorithm>
#include <utility>

namespace dtcalc {

ExtentId ExtentTable::id(const Extent& extent) {
  const auto found = std::find(extents_.begin(), extents_.end(), extent);
  if (found != extents_.end()) return static_cast<ExtentId>(found - extents_.begin());
  extents_.push_back(extent);
  return static_cast<ExtentId>(extents_.size() - 1);
}

namespace {

/// product > attention > reduction > elementwise; ties go to the earlier operator.
int weight_of(OperatorKind kind) {
  switch (kind) {
    case OperatorKind::product:
    case OperatorKind::scores:
    case OperatorKind::context:
      return 3;
    case OperatorKind::softmax:
      return 2;
    case OperatorKind::norm:
    case OperatorKind::head_norm:
    case OperatorKind::loss_max:
    case OperatorKind::loss_sum:
    case OperatorKind::loss_target:
    case OperatorKind::token_embedding:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

Program Lowering::run() {
  while (at_ < ops_.size()) {
    group_from_ = at_;
    kernels_from_ = program_.kernels.size();
    const Operator& op = ops_[at_];
    if (op.pass == Pass::forward)
      forward(op);
    else
      backward(op);
    close_group();
  }
  return std::move(program_);
}

bool Lowering::next_is(std::size_t ahead, OperatorKind kind, Pass pass) const {
  const Operator* op = peek(ahead);
  return op && op->kind == kind && op->pass == pass;
}

bool Lowering::chained(std::size_t ahead, OperatorKind kind, Pass pass) const {
  return next_is(ahead, kind, pass) && peek(ahead)->inputs[0] == peek(ahead - 1)->outputs[0];
}

Kernel& Lowering::emit(Contract contract, const Operator& op, std::initializer_list<TensorId> operands) {
  Kernel kernel{};
  kernel.contract = contract;
  kernel.site = op.site;
  kernel.accumulate = op.accumulate;
  kernel.replay = op.replay;
  int i = 0;
  for (TensorId t : operands) kernel.operands[i++] = storage_of(s_, t);
  return program_.kernels.emplace_back(kernel);
}

void Lowering::product_shape(Kernel& kernel, const Operator& op) {
  kernel.m = extents_.id(op.m), kernel.n = extents_.id(op.n), kernel.k = extents_.id(op.k);
  kernel.batch = extents_.id(op.batch);
  kernel.flop = extents_.id(op.m * op.n * op.k * op.batch * 2);
}

void Lowering::close_group() {
  if (kernels_from_ == program_.kernels.size()) return;  // a view
  const Operator* heaviest = &ops_[group_from_];
  Group group{};
  for (std::size_t i = group_from_; i < at_; ++i) {
    if (weight_of(ops_[i].kind) > weight_of(heaviest->kind)) heaviest = &ops_[i];
    if (std::find(group.covers.begin(), group.covers.end(), ops_[i].name) == group.covers.end())
      group.covers.push_back(ops_[i].name);
  }
  group.name = heaviest->name;
  group.phase = ops_[group_from_].pass != Pass::forward ? Phase::backward
                : ops_[group_from_].replay              ? Phase::recompute
                                                        : Phase::forward;
  if (!program_.groups.empty() && program_.groups.back().name == group.name &&
      program_.groups.back().phase == group.phase) {
    for (Name name : group.covers)
      if (auto& c = program_.groups.back().covers; std::find(c.begin(), c.end(), name) == c.end()) c.push_back(name);
  } else {
    program_.groups.push_back(group);
  }
  for (std::size_t k = kernels_from_; k < program_.kernels.size(); ++k) {
    program_.kernels[k].group = static_cast<std::uint16_t>(program_.groups.size() - 1);
    program_.kernels[k].law = law_name(program_.kernels[k], c_);
    program_.kernels[k].law_id = law_id(program_.kernels[k].law);
  }
}

void Lowering::flash_shape(Kernel& kernel) {
  const bool backward = kernel.contract == Contract::flash_backward;
  const Symbol products = s_.local ? (backward ? Symbol::flash_backward_local : Symbol::flash_forward_local)
                                   : (backward ? Symbol::flash_backward_global : Symbol::flash_forward_global);
  kernel.m = extents_.id({Symbol::query}), kernel.n = extents_.id({Symbol::key}),
  kernel.k = extents_.id({Symbol::head});
  kernel.batch = extents_.id({Symbol::batch, Symbol::heads});
  kernel.flop = extents_.id(Extent{Symbol::batch, Symbol::heads, products, Symbol::head} * 2);
  kernel.local = s_.local;
}

std::string_view law_name(const Kernel& kernel, const Choices& choices) {
  switch (kernel.contract) {
    case Contract::norm:
      return choices.norm == Norm::layer_norm ? "norm.layer" : "norm.rms";
    case Contract::norm_backward:
      return choices.norm == Norm::layer_norm ? "norm_backward.layer" : "norm_backward.rms";
    case Contract::bias_dropout:
      return kernel.drops ? "bias_dropout.dropout" : "bias_dropout";
    case Contract::softmax:
      return kernel.drops ? "softmax.dropout" : "softmax";
    case Contract::softmax_backward:
      return kernel.drops ? "softmax_backward.dropout" : "softmax_backward";
    case Contract::flash:
      return kernel.drops ? "flash.dropout" : "flash";
    case Contract::flash_backward:
      return kernel.drops ? "flash_backward.dropout" : "flash_backward";
    case Contract::embedding:
      return kernel.drops ? "embedding.dropout" : "embedding";
    case Contract::activation:
    case Contract::activation_backward: {
      const bool backward = kernel.contract == Contract::activation_backward;
      return activation_law(static_cast<int>(choices.activation), kernel.operands[backward ? 3 : 1] != kNone, backward);
    }
    case Contract::cast_fp8:
      return kernel.operands[1] != kNone && kernel.operands[2] != kNone ? "cast_fp8" : "cast_fp8.one";
    default:
      return info(kernel.contract).name;
  }
}

Program lower_operators(std::span<const Operator> operators, const Segment& segment, const Choices& choices,
                        ExtentTable& extents) {
  return Lowering(operators, segment, choices, extents).run();
}

}  // namespace dtcalc
