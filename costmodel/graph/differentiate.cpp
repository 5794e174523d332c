// Reverse mode over a segment's operators: (4.1) for products, (3.10) for softmax, (2.10)-(2.11) for attention.
//
// Inputs of a gradient operator, by kind (dy is the gradient of the forward output):
//   product    input {dy, W} -> dx          weight {dy, x} -> dW
//   bias                                    weight {dy} -> db
//   norm       input {dy, x, gamma, statistics, beta} -> dx, dgamma, dbeta
//   head_norm  input {dy, x, gamma, statistics} -> dx, dgamma
//   rope       input {dy} -> dx
//   scores     input {ds, k} -> dq          weight {ds, q} -> dk     (the two operands; neither is a parameter)
//   mask       input {dy, scores or none} -> ds                       (scores only when soft-capped)
//   softmax    input {dp, p, log-sum-exp} -> ds                       (the output, not the input)
//   dropout    input {dy, mask} -> dx
//   context    input {dy, v} -> dp          weight {dy, p} -> dv
//   activation input {dy, x or none, y or none} -> dx                 (ReLU, tanh and sigmoid need only the output,
//   E26) multiply   input {dy, a, b} -> da, db loss       input {logits, targets, max, sum} -> dlogits token_embedding
//   / position_embedding   weight {dy, tokens} -> dtable
//   select     input {dy} -> dx                                       (zero but for one position)
//   class_token input {dy} -> dx, dtoken
//   exchange   input {dy} -> dx                                       (summed over data ranks, cut to this one's rows)
//   enter      input {dy} -> dx   (the sum over ranks)       leave      input {dy} -> dx  (the same dy, or its
//   gathering) ring       input {dy, x} -> dx   (x travels again, dx beside it)
#include <cassert>

#include "costmodel/graph/graph.hpp"

namespace dtcalc {
namespace {

class Differentiator {
 public:
  Differentiator(Segment& segment, bool input_trained)
      : s_(segment), needs_(segment.tensors.size()), gradient_(segment.tensors.size(), kNone) {
    for (std::size_t t = 0; t < needs_.size(); ++t) needs_[t] = s_.tensors[t].trained;
    if (s_.residual_in != kNone) needs_[s_.residual_in] = input_trained;
    if (s_.delta_in != kNone) needs_[s_.delta_in] = input_trained;
    for (const Operator& op : s_.forward) {
      bool any = false;
      for (TensorId t : op.inputs) any = any || (t != kNone && needs_[t]);
      if (op.outputs[0] != kNone) needs_[op.outputs[0]] = any;
    }
  }

  void run() {
    if (s_.residual_out != kNone) {
      if (!needs_[s_.residual_out] && (s_.delta_out == kNone || !needs_[s_.delta_out])) return;
      s_.gradient_in = new_gradient(s_.residual_out);
      gradient_[s_.residual_out] = s_.gradient_in;
      if (s_.delta_out != kNone) gradient_[s_.delta_out] = s_.gradient_in;
    }
    for (position_ = static_cast<int>(s_.forward.size()) - 1; position_ >= 0; --position_) {
      const Operator op = s_.forward[position_];
      if (op.kind == OperatorKind::loss_target) {
        if (needs_[op.inputs[0]])
          emit(op, Pass::input_gradient, {op.inputs[0], op.inputs[1], op.inputs[2], op.inputs[3]}, {op.inputs[0]});
        continue;
      }
      if (op.outputs[0] == kNone || !needs_[op.outputs[0]] || gradient_[op.outputs[0]] == kNone) continue;
      backward_of(op, gradient_[op.outputs[0]]);
    }
    if (s_.residual_in != kNone && needs_[s_.residual_in]) s_.gradient_out = gradient_[s_.residual_in];
  }

 private:
  TensorId new_gradient(TensorId of) {
    Tensor t = s_.tensors[of];
    t.role = t.role == Role::parameter ? Role::parameter_gradient : Role::gradient;
    if (t.role == Role::parameter_gradient) t.width = Width::gradient;
    t.gradient_of = of;
    t.alias_of = kNone;
    t.regathered = false;
    t.checkpoint = false;
    t.trained = false;
    s_.tensors.push_back(t);
    return static_cast<TensorId>(s_.tensors.size() - 1);
  }

  /// The gradients of `tensors` are outputs of one operator; those that nobody needs become kNone. A first contribution
  /// is written, a later one accumulated; gradients of parameters always accumulate (over micro-batches and tied uses).
  Operator* emit(const Operator& forward, Pass pass, std::initializer_list<TensorId> inputs,
                 std::initializer_list<TensorId> of) {
    Operator op{};
    op.kind = forward.kind;
    op.pass = pass;
    op.name = forward.name;
    op.core = forward.core;
    op.site = forward.site;
    op.flop.factor = 0;
    int i = 0;
    for (TensorId t : inputs) op.inputs[i++] = t;
    i = 0;
    bool any = false;
    for (TensorId t : of) {
      if (t != kNone && needs_[t]) {
        any = true;
        if (gradient_[t] == kNone) {
          gradient_[t] = new_gradient(t);
          if (i == 0) op.accumulate = s_.tensors[t].role == Role::parameter;
        } else if (i == 0) {
          assert(!shared_with_pending(t));
          op.accumulate = true;
        }
        op.outputs[i] = gradient_[t];
      }
      ++i;
    }
    if (!any) return nullptr;
    return &s_.backward.emplace_back(op);
  }

  /// Whether adding into t's gradient would change what the producer of another tensor has still to read: gradients
  /// that passed through an addition share their storage.
  bool shared_with_pending(TensorId t) const {
    for (int i = 0; i < position_; ++i) {
      const TensorId out = s_.forward[i].outputs[0];
      if (out != t && out != kNone && needs_[out] && gradient_[out] == gradient_[t]) return true;
    }
    return false;
  }

  void pass_through(TensorId to, TensorId dy) {
    if (to == kNone || !needs_[to]) return;
    assert(gradient_[to] == kNone);
    gradient_[to] = dy;
  }

  /// A packed weight is not kept unpacked between the passes: the backward pass unpacks it for itself.
  TensorId unpacked_again(TensorId weight) {
    for (const Operator& op : s_.forward) {
      if (op.kind != OperatorKind::unpack || op.outputs[0] != weight) continue;
      s_.tensors.push_back(Tensor(s_.tensors[weight]));
      Operator again = op;
      again.pass = Pass::input_gradient;
      again.outputs[0] = static_cast<TensorId>(s_.tensors.size() - 1);
      s_.backward.push_back(again);
      return again.outputs[0];
    }
    return weight;
  }

  void product_gradients(const Operator& op, TensorId dy, TensorId a, TensorId b) {
    if (Operator* g = emit(op, Pass::weight_gradient, {dy, a}, {b})) {
      // dW (n x k) = dy (m x n)^T x (m x k)
      g->m = op.n, g->n = op.k, g->k = op.m, g->batch = op.batch, g->flop = op.flop;
    }
    if (a != kNone && needs_[a]) b = unpacked_again(b);
    if (Operator* g = emit(op, Pass::input_gradient, {dy, b}, {a})) {
      // dx (m x k) = dy (m x n) W (n x k)
      g->m = op.m, g->n = op.k, g->k = op.n, g->batch = op.batch, g->flop = op.flop;
    }
  }

  /// The gradient of what entered the tensor-parallel region; without sequence parallelism it is summed in place.
  void reduced_gradient(const Operator& op, TensorId dy) {
    const bool shared = s_.tensors[op.outputs[0]].alias_of != kNone && gradient_[op.inputs[0]] == kNone;
    const Operator* g = emit(op, Pass::input_gradient, {dy}, {op.inputs[0]});
    if (g && shared) s_.tensors[g->outputs[0]].alias_of = dy;
  }

  void backward_of(const Operator& op, TensorId dy) {
    const auto& in = op.inputs;
    const auto& out = op.outputs;
    switch (op.kind) {
      case OperatorKind::product:
      case OperatorKind::scores:
        return product_gradients(op, dy, in[0], in[1]);
      case OperatorKind::context:
        if (Operator* g = emit(op, Pass::weight_gradient, {dy, in[0]}, {in[1]}))
          g->m = op.k, g->n = op.n, g->k = op.m, g->batch = op.batch, g->flop = op.flop;
        if (Operator* g = emit(op, Pass::input_gradient, {dy, in[1]}, {in[0]}))
          g->m = op.m, g->n = op.k, g->k = op.n, g->batch = op.batch, g->flop = op.flop;
        return;
      case OperatorKind::bias:
        emit(op, Pass::weight_gradient, {dy}, {in[1]});
        return pass_through(in[0], dy);
      case OperatorKind::add:
        pass_through(in[0], dy);
        return pass_through(in[1], dy);
      case OperatorKind::norm:
        emit(op, Pass::input_gradient, {dy, in[0], in[1], out[1], in[2]}, {in[0], in[1], in[2]});
        return;
      case OperatorKind::head_norm:
        emit(op, Pass::input_gradient, {dy, in[0], in[1], out[1]}, {in[0], in[1]});
        return;
      case OperatorKind::dropout:
        emit(op, Pass::input_gradient, {dy, out[1]}, {in[0]});
        return;
      case OperatorKind::mask:
        emit(op, Pass::input_gradient, {dy, in[0]}, {in[0]});
        return;
      case OperatorKind::softmax:
        emit(op, Pass::input_gradient, {dy, out[0], out[1]}, {in[0]});
        return;
      case OperatorKind::activation:
        emit(op, Pass::input_gradient, {dy, in[0], out[0]}, {in[0]});
        return;
      case OperatorKind::multiply:
        emit(op, Pass::input_gradient, {dy, in[0], in[1]}, {in[0], in[1]});
        return;
      case OperatorKind::softcap:
        emit(op, Pass::input_gradient, {dy, out[0]}, {in[0]});
        return;
      case OperatorKind::enter:
        reduced_gradient(op, dy);
        return;
      case OperatorKind::leave:
        if (s_.tensors[out[0]].alias_of != kNone) return pass_through(in[0], dy);
        emit(op, Pass::input_gradient, {dy}, {in[0]});
        return;
      case OperatorKind::ring:
        if (const Operator* g = emit(op, Pass::input_gradient, {dy, in[0]}, {in[0]}))
          s_.tensors[g->outputs[0]].alias_of = dy;
        return;
      case OperatorKind::rope:
      case OperatorKind::cast:
        emit(op, Pass::input_gradient, {dy}, {in[0]});
        return;
      case OperatorKind::token_embedding:
        emit(op, Pass::weight_gradient, {dy, in[0]}, {in[1]});
        return;
      case OperatorKind::position_embedding:
        emit(op, Pass::weight_gradient, {dy}, {in[1]});
        return pass_through(in[0], dy);
      case OperatorKind::select:
      case OperatorKind::exchange:
        emit(op, Pass::input_gradient, {dy}, {in[0]});
        return;
      case OperatorKind::class_token:
        emit(op, Pass::input_gradient, {dy}, {in[0], in[1]});
        return;
      case OperatorKind::loss_max:
      case OperatorKind::loss_sum:
      case OperatorKind::loss_target:
      case OperatorKind::reduce:
      case OperatorKind::cache:
      case OperatorKind::unpack:
      case OperatorKind::quantize:
      case OperatorKind::count:
        return;
    }
  }

  Segment& s_;
  std::vector<bool> needs_;
  std::vector<TensorId> gradient_;
  int position_ = 0;
};

}  // namespace

void differentiate(Segment& segment, bool input_trained) { Differentiator(segment, input_trained).run(); }

}  // namespace dtcalc
