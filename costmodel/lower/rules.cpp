// The rules of forward operators; those of gradients are in rules_backward.cpp.
#include "costmodel/lower/lowering.hpp"

namespace dtcalc {

void Lowering::forward(const Operator& op) {
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
    case OperatorKind::class_token:
      emit(Contract::class_token, op, {in[0], in[1], out[0]});
      return take(1);
    case OperatorKind::unpack:
      emit(Contract::unpack, op, {in[0], out[0]});
      return take(1);
    case OperatorKind::exchange:
      emit(Contract::all_gather, op, {in[0], out[0]}).axis = Axis::data;
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
    case OperatorKind::quantize:
      quantize(op);
      return take(1);
    case OperatorKind::count:
      return take(1);
  }
}

void Lowering::embedding(const Operator& op) {
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

void Lowering::product(const Operator& op) {
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

void Lowering::flash(const Operator& scores) {
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
  flash_shape(kernel);
  take(count + 1);
}

void Lowering::mask(const Operator& op) {
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

void Lowering::loss() {
  const Operator& target = *peek(2);
  const bool gradient = next_is(3, OperatorKind::loss_target, Pass::input_gradient);
  emit(Contract::loss, target,
       {target.inputs[0], target.inputs[1], target.outputs[0], gradient ? peek(3)->outputs[0] : kNone});
  take(gradient ? 4 : 3);
}

void Lowering::quantize(const Operator& op) {
  Kernel& kernel = emit(Contract::cast_fp8, op, {op.inputs[0], op.outputs[0], op.outputs[1]});
  kernel.m = extents_.id(op.m), kernel.n = extents_.id(op.n);
}

}  // namespace dtcalc
