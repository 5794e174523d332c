// The rules of gradients.
#include "costmodel/lower/lowering.hpp"

namespace dtcalc {

void Lowering::backward(const Operator& op) {
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
          emit(to_weight ? Contract::context_value : Contract::context_probabilities, op, {in[0], in[1], out[0]}), op);
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
    case OperatorKind::select:
      emit(Contract::select_backward, op, {in[0], out[0]});
      return take(1);
    case OperatorKind::class_token:
      emit(Contract::class_token_backward, op, {in[0], out[0], out[1]});
      return take(1);
    case OperatorKind::unpack:
      emit(Contract::unpack, op, {in[0], out[0]});
      return take(1);
    case OperatorKind::quantize:
      quantize(op);
      return take(1);
    case OperatorKind::exchange:
      emit(Contract::reduce_scatter, op, {in[0], out[0]}).axis = Axis::data;
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

void Lowering::enter_gradient(const Operator& op) {
  if (c_.sequence) {
    emit(Contract::reduce_scatter, op, {op.inputs[0], op.outputs[0]});
  } else {
    emit(Contract::all_reduce, op, {op.inputs[0]}).accumulate = false;
    if (op.accumulate) emit(Contract::add, op, {op.inputs[0], op.outputs[0], op.outputs[0]}).accumulate = false;
  }
  take(1);
}

void Lowering::product_gradient(const Operator& op) {
  const Contract contract = op.pass == Pass::weight_gradient ? Contract::product_weight : Contract::product_input;
  product_shape(emit(contract, op, {op.inputs[0], op.inputs[1], op.outputs[0]}), op);
}

void Lowering::bias_gradient(const Operator& op) {
  emit(Contract::bias_gradient, op, {op.inputs[0], op.outputs[0]});
  take(1);
  if (c_.fuse_bias) take_products();
}

void Lowering::take_products() {
  const auto belongs = [](const Operator& op) {
    return op.pass != Pass::forward && (op.kind == OperatorKind::product || op.kind == OperatorKind::quantize);
  };
  while (at_ < ops_.size() && belongs(ops_[at_])) {
    if (ops_[at_].kind == OperatorKind::product)
      product_gradient(ops_[at_]);
    else
      quantize(ops_[at_]);
    take(1);
  }
}

void Lowering::dropout_gradient(const Operator& op) {
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

void Lowering::embedding_gradients() {
  while (at_ < ops_.size() && ops_[at_].kind != OperatorKind::leave) backward(ops_[at_]);
}

void Lowering::softmax_backward(TensorId dp, TensorId mask, bool drops) {
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

void Lowering::flash_backward() {
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
  flash_shape(kernel);
  take(count);
}

void Lowering::activation_backward(const Operator& op) {
  const bool from_output =
      c_.activation == Activation::relu || c_.activation == Activation::tanh || c_.activation == Activation::sigmoid;
  emit(Contract::activation_backward, op,
       {op.inputs[0], from_output ? kNone : op.inputs[1], from_output ? op.inputs[2] : kNone, kNone, op.outputs[0]});
  take(1);
}

void Lowering::position_backward(const Operator& op) {
  const bool both = c_.fuse_embedding && next_is(1, OperatorKind::token_embedding, Pass::weight_gradient);
  if (both)
    emit(Contract::embedding_backward, op, {op.inputs[0], peek(1)->inputs[1], peek(1)->outputs[0], op.outputs[0]});
  else
    emit(Contract::position_backward, op, {op.inputs[0], op.outputs[0]});
  take(both ? 2 : 1);
}

}  // namespace dtcalc
