// Every rule looks at the operators from a position on, says how many it takes, and appends their kernels. An operator
// that no fusion takes becomes one kernel and one group.
#include "costmodel/lower/rules.hpp"

#include <algorithm>
#include <initializer_list>

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

class Lowering {
 public:
  Lowering(std::span<const Operator> ops, const Segment& segment, const Choices& choices, ExtentTable& extents)
      : ops_(ops), s_(segment), c_(choices), extents_(extents) {}

  Program run() {
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

 private:
  // --- small vocabulary -------------------------------------------------------------------------------------------
  const Operator* peek(std::size_t ahead) const { return at_ + ahead < ops_.size() ? &ops_[at_ + ahead] : nullptr; }
  bool next_is(std::size_t ahead, OperatorKind kind, Pass pass) const {
    const Operator* op = peek(ahead);
    return op && op->kind == kind && op->pass == pass;
  }
  /// The operator `ahead` is `kind` and reads what the operator before it wrote.
  bool chained(std::size_t ahead, OperatorKind kind, Pass pass) const {
    return next_is(ahead, kind, pass) && peek(ahead)->inputs[0] == peek(ahead - 1)->outputs[0];
  }

  Kernel& emit(Contract contract, const Operator& op, std::initializer_list<TensorId> operands) {
    Kernel kernel{};
    kernel.contract = contract;
    kernel.site = op.site;
    kernel.accumulate = op.accumulate;
    kernel.replay = op.replay;
    int i = 0;
    for (TensorId t : operands) kernel.operands[i++] = storage_of(s_, t);
    return program_.kernels.emplace_back(kernel);
  }

  void product_shape(Kernel& kernel, const Operator& op) {
    kernel.m = extents_.id(op.m), kernel.n = extents_.id(op.n), kernel.k = extents_.id(op.k);
    kernel.batch = extents_.id(op.batch);
    kernel.flop = extents_.id(op.m * op.n * op.k * op.batch * 2);
  }

  void take(std::size_t count) { at_ += count; }

  /// Names the group of the operators taken since the last one and joins it to its neighbour of the same name.
  void close_group() {
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

  /// 2 products of 2 FLOPs forward; 5 backward, the scores being computed again.
  void flash_shape(Kernel& kernel, int flop_per_pair_and_channel) {
    const Symbol pairs = s_.local ? Symbol::flash_pairs_local : Symbol::flash_pairs_global;
    kernel.m = extents_.id({Symbol::query}), kernel.n = extents_.id({Symbol::key}),
    kernel.k = extents_.id({Symbol::head});
    kernel.batch = extents_.id({Symbol::batch, Symbol::heads});
    kernel.flop = extents_.id(Extent{Symbol::batch, Symbol::heads, pairs, Symbol::head} * flop_per_pair_and_channel);
  }

  // --- forward ----------------------------------------------------------------------------------------------------
  void forward(const Operator& op) {
    constexpr Pass fw = Pass::forward;
    const auto& in = op.inputs;
    const auto& out = op.outputs;
    switch (op.kind) {
      case OperatorKind::token_embedding:
        return embedding(op);
      case OperatorKind::position_embedding:
        emit(Contract::position_add, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::add:
        if (c_.fuse_residual_norm && chained(1, OperatorKind::norm, fw)) {
          const Operator& norm = *peek(1);
          emit(Contract::norm, norm,
               {in[0], in[1], out[0], norm.inputs[1], norm.inputs[2], norm.outputs[0], norm.outputs[1]});
          return take(2);
        }
        emit(Contract::add, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::norm:
        emit(Contract::norm, op, {in[0], kNone, kNone, in[1], in[2], out[0], out[1]});
        return take(1);
      case OperatorKind::product:
        return product(op);
      case OperatorKind::bias:  // one that no product has taken
        if (c_.fuse_output_dropout && chained(1, OperatorKind::dropout, fw)) {
          const Operator& dropout = *peek(1);
          emit(Contract::bias_dropout, dropout, {in[0], in[1], dropout.outputs[0], dropout.outputs[1]}).drops = true;
          return take(2);
        }
        emit(Contract::bias_dropout, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::enter:
        if (c_.sequence) emit(Contract::all_gather, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::leave:
        if (c_.sequence)
          emit(Contract::reduce_scatter, op, {in[0], out[0]});
        else
          emit(Contract::all_reduce, op, {in[0]});
        return take(1);
      case OperatorKind::reduce:
        emit(Contract::all_reduce, op, {in[0]});
        return take(1);
      case OperatorKind::ring:
        emit(Contract::ring, op, {in[0]}).axis = Axis::context;
        return take(1);
      case OperatorKind::cache:
        emit(Contract::cache_append, op, {in[0]});
        return take(1);
      case OperatorKind::select:
        emit(Contract::select, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::dropout:
        emit(Contract::bias_dropout, op, {in[0], kNone, out[0], out[1]}).drops = true;
        return take(1);
      case OperatorKind::head_norm:
        emit(Contract::head_norm, op, {in[0], in[1], out[0], out[1]});
        return take(1);
      case OperatorKind::rope:
        emit(Contract::rope, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::scores:
        if (c_.attention == AttentionKernel::flash) return flash(op);
        product_shape(emit(Contract::scores, op, {in[0], in[1], out[0]}), op);
        return take(1);
      case OperatorKind::mask:
        return mask(op);
      case OperatorKind::softmax:
        emit(Contract::softmax, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::context:
        product_shape(emit(Contract::context, op, {in[0], in[1], out[0]}), op);
        return take(1);
      case OperatorKind::activation:
        if (c_.gated && c_.fuse_gated_activation && chained(1, OperatorKind::multiply, fw)) {
          emit(Contract::activation, op, {in[0], peek(1)->inputs[1], peek(1)->outputs[0]});
          return take(2);
        }
        emit(Contract::activation, op, {in[0], kNone, out[0]});
        return take(1);
      case OperatorKind::multiply:
        emit(Contract::multiply, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::softcap:
        emit(Contract::softcap, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::cast:
        emit(Contract::cast, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::loss_max:
        if (c_.fuse_loss && !c_.tensor) return loss();
        emit(Contract::loss_max, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::loss_sum:
        emit(Contract::loss_sum, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::loss_target:
        emit(Contract::loss_target, op, {in[0], in[1], in[2], in[3], out[0]});
        return take(1);
      case OperatorKind::count:
        return take(1);
    }
  }

  void embedding(const Operator& op) {
    std::size_t count = 1;
    TensorId positions = kNone, out = op.outputs[0], mask = kNone;
    bool drops = false;
    if (c_.fuse_embedding && next_is(count, OperatorKind::position_embedding, Pass::forward)) {
      positions = peek(count)->inputs[1];
      out = peek(count++)->outputs[0];
    }
    if (c_.fuse_embedding && next_is(count, OperatorKind::dropout, Pass::forward)) {
      out = peek(count)->outputs[0];
      mask = peek(count++)->outputs[1];
      drops = true;
    }
    emit(Contract::embedding, op, {op.inputs[0], op.inputs[1], positions, out, mask}).drops = drops;
    take(count);
  }

  void product(const Operator& op) {
    std::size_t count = 1;
    TensorId bias = kNone, out = op.outputs[0];
    const Operator* dropout = nullptr;
    if (c_.fuse_bias && chained(count, OperatorKind::bias, Pass::forward)) {
      bias = peek(count)->inputs[1];
      out = peek(count++)->outputs[0];
    }
    if (c_.fuse_output_dropout && chained(count, OperatorKind::dropout, Pass::forward)) dropout = peek(count++);
    if (dropout) {  // bias and dropout share one pass over the product's output
      product_shape(emit(Contract::product, op, {op.inputs[0], op.inputs[1], op.outputs[0]}), op);
      emit(Contract::bias_dropout, *dropout, {op.outputs[0], bias, dropout->outputs[0], dropout->outputs[1]}).drops =
          true;
    } else {
      product_shape(emit(Contract::product, op, {op.inputs[0], op.inputs[1], out, bias}), op);
    }
    take(count);
  }

  void flash(const Operator& scores) {
    std::size_t count = 1;
    TensorId log_sum_exp = kNone;
    bool drops = false;
    while (peek(count)->kind != OperatorKind::context) {
      if (peek(count)->kind == OperatorKind::softmax) log_sum_exp = peek(count)->outputs[1];
      drops = drops || peek(count)->kind == OperatorKind::dropout;
      ++count;
    }
    const Operator& context = *peek(count);
    Kernel& kernel = emit(Contract::flash, scores,
                          {scores.inputs[0], scores.inputs[1], context.inputs[1], context.outputs[0], log_sum_exp});
    kernel.site = 1;
    kernel.drops = drops;
    flash_shape(kernel, 4);
    take(count + 1);
  }

  void mask(const Operator& op) {
    if (!c_.fuse_softmax) {
      emit(Contract::mask, op, {op.inputs[0], op.outputs[0]});
      return take(1);
    }
    const Operator& softmax = *peek(1);
    const bool drops = chained(2, OperatorKind::dropout, Pass::forward);
    Kernel& kernel = emit(
        Contract::softmax, softmax,
        {op.inputs[0], softmax.outputs[0], drops ? peek(2)->outputs[0] : kNone, drops ? peek(2)->outputs[1] : kNone});
    kernel.site = 1;
    kernel.masks_scores = true;
    kernel.drops = drops;
    take(drops ? 3 : 2);
  }

  void loss() {
    const Operator& target = *peek(2);
    const bool gradient = next_is(3, OperatorKind::loss_target, Pass::input_gradient);
    emit(Contract::loss, target,
         {target.inputs[0], target.inputs[1], target.outputs[0], gradient ? peek(3)->outputs[0] : kNone});
    take(gradient ? 4 : 3);
  }

  // --- backward ---------------------------------------------------------------------------------------------------
  void backward(const Operator& op) {
    const auto& in = op.inputs;
    const auto& out = op.outputs;
    const bool to_weight = op.pass == Pass::weight_gradient;
    switch (op.kind) {
      case OperatorKind::product:
        product_gradient(op);
        return take(1);
      case OperatorKind::bias:
        return bias_gradient(op);
      case OperatorKind::dropout:
        return dropout_gradient(op);
      case OperatorKind::norm:
        emit(Contract::norm_backward, op, {in[0], in[1], in[2], in[3], out[0], out[1], out[2]});
        return take(1);
      case OperatorKind::head_norm:
        emit(Contract::head_norm_backward, op, {in[0], in[1], in[2], in[3], out[0], out[1]});
        return take(1);
      case OperatorKind::rope:
        emit(Contract::rope_backward, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::scores:
        product_shape(emit(to_weight ? Contract::scores_key : Contract::scores_query, op, {in[0], in[1], out[0]}), op);
        return take(1);
      case OperatorKind::context:
        if (c_.attention == AttentionKernel::flash) return flash_backward();
        product_shape(
            emit(to_weight ? Contract::context_value : Contract::context_probabilities, op, {in[0], in[1], out[0]}),
            op);
        return take(1);
      case OperatorKind::mask:
        emit(Contract::mask_backward, op, {in[0], c_.attention_softcap ? in[1] : kNone, out[0]});
        return take(1);
      case OperatorKind::softmax:
        return softmax_backward(kNone, kNone, false);
      case OperatorKind::activation:
        return activation_backward(op);
      case OperatorKind::multiply:
        if (c_.fuse_gated_activation && next_is(1, OperatorKind::activation, Pass::input_gradient)) {
          const Operator& activation = *peek(1);
          emit(Contract::activation_backward, op,
               {in[0], activation.inputs[1], kNone, in[2], activation.outputs[0], out[1]});
          return take(2);
        }
        emit(Contract::multiply_backward, op, {in[0], in[1], in[2], out[0], out[1]});
        return take(1);
      case OperatorKind::softcap:
        emit(Contract::softcap_backward, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::enter:
        return enter_gradient(op);
      case OperatorKind::leave:
        emit(Contract::all_gather, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::ring:
        emit(Contract::ring_backward, op, {out[0], in[1]}).axis = Axis::context;
        return take(1);
      case OperatorKind::cast:
        emit(Contract::cast_backward, op, {in[0], out[0]});
        return take(1);
      case OperatorKind::loss_target:
        emit(Contract::loss_backward, op, {in[0], in[1], in[2], in[3], out[0]});
        return take(1);
      case OperatorKind::token_embedding:
        emit(Contract::embedding_backward, op, {in[0], in[1], out[0]});
        return take(1);
      case OperatorKind::position_embedding:
        return position_backward(op);
      default:
        return take(1);
    }
  }

  void enter_gradient(const Operator& op) {
    if (c_.sequence) {
      emit(Contract::reduce_scatter, op, {op.inputs[0], op.outputs[0]});
    } else {
      emit(Contract::all_reduce, op, {op.inputs[0]}).accumulate = false;
      if (op.accumulate) emit(Contract::add, op, {op.inputs[0], op.outputs[0], op.outputs[0]}).accumulate = false;
    }
    take(1);
  }

  void product_gradient(const Operator& op) {
    const Contract contract = op.pass == Pass::weight_gradient ? Contract::product_weight : Contract::product_input;
    product_shape(emit(contract, op, {op.inputs[0], op.inputs[1], op.outputs[0]}), op);
  }

  /// Where the bias was fused, its gradient belongs to the product's group.
  void bias_gradient(const Operator& op) {
    emit(Contract::bias_gradient, op, {op.inputs[0], op.outputs[0]});
    take(1);
    if (c_.fuse_bias) take_products();
  }

  void take_products() {
    while (at_ < ops_.size() && ops_[at_].kind == OperatorKind::product && ops_[at_].pass != Pass::forward) {
      product_gradient(ops_[at_]);
      take(1);
    }
  }

  void dropout_gradient(const Operator& op) {
    if (op.core && c_.fuse_softmax && chained(1, OperatorKind::softmax, Pass::input_gradient)) {
      take(1);
      return softmax_backward(op.inputs[0], op.inputs[1], true);
    }
    emit(Contract::dropout_backward, op, {op.inputs[0], op.inputs[1], op.outputs[0]}).drops = true;
    take(1);
    if (op.site == 0 && c_.fuse_embedding) return embedding_gradients();
    if (op.site < 2 || !c_.fuse_output_dropout) return;
    if (at_ < ops_.size() && ops_[at_].kind == OperatorKind::bias && ops_[at_].pass != Pass::forward && c_.fuse_bias)
      return bias_gradient(ops_[at_]);
    take_products();
  }

  void embedding_gradients() {
    while (at_ < ops_.size() && ops_[at_].kind != OperatorKind::leave) backward(ops_[at_]);
  }

  /// `dp` is the gradient of the dropped probabilities when dropout is part of the kernel.
  void softmax_backward(TensorId dp, TensorId mask, bool drops) {
    const Operator& softmax = ops_[at_];
    if (dp == kNone) dp = softmax.inputs[0];
    if (!c_.fuse_softmax) {
      emit(Contract::softmax_backward, softmax, {dp, softmax.inputs[1], kNone, kNone, softmax.outputs[0]});
      return take(1);
    }
    const Operator& scores = *peek(1);  // the mask operator's gradient
    Kernel& kernel =
        emit(Contract::softmax_backward, softmax,
             {dp, softmax.inputs[1], mask, c_.attention_softcap ? scores.inputs[1] : kNone, scores.outputs[0]});
    kernel.site = 1;
    kernel.masks_scores = true;
    kernel.drops = drops;
    take(2);
  }

  void flash_backward() {
    std::size_t count = 0;
    TensorId q = kNone, k = kNone, v = kNone, dq = kNone, dk = kNone, dv = kNone, log_sum_exp = kNone;
    const Operator& first = ops_[at_];
    bool drops = false;
    while (peek(count) && peek(count)->core && peek(count)->pass != Pass::forward) {
      const Operator& op = *peek(count++);
      const bool to_weight = op.pass == Pass::weight_gradient;
      if (op.kind == OperatorKind::context) (to_weight ? dv : v) = to_weight ? op.outputs[0] : op.inputs[1];
      if (op.kind == OperatorKind::scores) {
        (to_weight ? q : k) = op.inputs[1];
        (to_weight ? dk : dq) = op.outputs[0];
      }
      if (op.kind == OperatorKind::softmax) log_sum_exp = op.inputs[2];
      drops = drops || op.kind == OperatorKind::dropout;
    }
    const TensorId dy = first.inputs[0];
    Kernel& kernel =
        emit(Contract::flash_backward, first, {q, k, v, s_.tensors[dy].gradient_of, log_sum_exp, dy, dq, dk, dv});
    kernel.site = 1;
    kernel.drops = drops;
    flash_shape(kernel, 10);
    take(count);
  }

  void activation_backward(const Operator& op) {
    const bool from_output =
        c_.activation == Activation::relu || c_.activation == Activation::tanh || c_.activation == Activation::sigmoid;
    emit(Contract::activation_backward, op,
         {op.inputs[0], from_output ? kNone : op.inputs[1], from_output ? op.inputs[2] : kNone, kNone, op.outputs[0]});
    take(1);
  }

  void position_backward(const Operator& op) {
    const bool both = c_.fuse_embedding && next_is(1, OperatorKind::token_embedding, Pass::weight_gradient);
    if (both)
      emit(Contract::embedding_backward, op, {op.inputs[0], peek(1)->inputs[1], peek(1)->outputs[0], op.outputs[0]});
    else
      emit(Contract::position_backward, op, {op.inputs[0], op.outputs[0]});
    take(both ? 2 : 1);
  }

  std::span<const Operator> ops_;
  const Segment& s_;
  const Choices& c_;
  ExtentTable& extents_;
  Program program_;
  std::size_t at_ = 0, group_from_ = 0, kernels_from_ = 0;
};

}  // namespace

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
    default:
      return info(kernel.contract).name;
  }
}

Program lower_operators(std::span<const Operator> operators, const Segment& segment, const Choices& choices,
                        ExtentTable& extents) {
  return Lowering(operators, segment, choices, extents).run();
}

}  // namespace dtcalc
