// Products with a block's weights in fp8: every operand is cast by an operator of its own, and cast again transposed
// where a gradient reads it the other way round, since Hopper's fp8 instructions take both operands with the inner
// dimension contiguous only (PTX ISA, wgmma.mma_async: transposition is for .f16 and .bf16). Called by build_graph.
//
//   forward   y  = x w^T     reads x (m, k)  and w (n, k)
//   input     dx = dy w      reads dy (m, n) and w^T (k, n)
//   weight    dw = dy^T x    reads dy^T (n, m) and x^T (k, m), which is kept from the forward pass in place of x
//
// Weights are cast in either pass anew: that moves 3 bytes an element and keeps none, where copies made once per step
// would keep 2.
#include <algorithm>
#include <span>
#include <vector>

#include "costmodel/graph/graph.hpp"

namespace dtcalc {
namespace {

constexpr Name kQuantized[] = {Name::attention_query,  Name::attention_key, Name::attention_value,
                               Name::attention_output, Name::mlp_gate,      Name::mlp_up,
                               Name::mlp_down};
static_assert(std::size(kQuantized) == kFp8Matrices);

/// Place of a product's weight among those that are cast; -1 for others (adapters keep the precision of activations).
int matrix_of(Name name) {
  const auto* const found = std::find(std::begin(kQuantized), std::end(kQuantized), name);
  return found == std::end(kQuantized) ? -1 : static_cast<int>(found - std::begin(kQuantized));
}

class Quantizer {
 public:
  explicit Quantizer(Segment& s) : s_(s) {
    for (const Operator& op : s.forward)
      if (op.kind == OperatorKind::product && matrix_of(op.name) >= 0 &&
          s.tensors[storage_of(s, op.inputs[1])].width == Width::weight)
        matrices_.push_back(op.inputs[1]);
  }

  void run() {
    const std::vector<Operator> forward = std::move(s_.forward), backward = std::move(s_.backward);
    s_.forward.clear(), s_.backward.clear();
    to_ = &s_.forward;
    for (Operator op : forward) {
      if (reads_matrix(op)) {
        const Shape x{op.m, op.k}, w{op.n, op.k};
        op.inputs[0] = copy(op, op.inputs[0], x, kFp8Matrices, {true, is_read(backward, op.inputs[0])}).plain;
        op.inputs[1] = copy(op, op.inputs[1], w, 0, {true, false}).plain;
      }
      to_->push_back(op);
    }
    to_ = &s_.backward;
    for (std::size_t i = 0; i < backward.size(); ++i) {
      Operator op = backward[i];
      if (is_gradient(op)) {
        const bool to_weight = op.pass == Pass::weight_gradient;
        const Copies dy = copy(op, op.inputs[0], to_weight ? Shape{op.k, op.m} : Shape{op.m, op.k}, 2 * kFp8Matrices,
                               readers_of(std::span(backward).subspan(i)));
        op.inputs[0] = to_weight ? dy.transposed : dy.plain;
        op.inputs[1] = to_weight ? found(op.inputs[1])->transposed
                                 : copy(op, op.inputs[1], {op.k, op.n}, 0, {false, true}).transposed;
      }
      to_->push_back(op);
      // A gradient that is added to is another one: the residual stream's below the MLP and below attention.
      for (const TensorId written : backward[i].outputs)
        std::erase_if(copies_, [&](const Copies& c) { return written != kNone && c.source == written; });
    }
  }

 private:
  struct Shape {
    Extent rows, columns;
  };
  struct Wanted {
    bool plain, transposed;
  };
  struct Copies {
    TensorId source = kNone, plain = kNone, transposed = kNone;
  };

  bool is_matrix(TensorId t) const { return std::find(matrices_.begin(), matrices_.end(), t) != matrices_.end(); }
  bool reads_matrix(const Operator& op) const { return op.kind == OperatorKind::product && is_matrix(op.inputs[1]); }
  /// A gradient of a product that is computed in fp8.
  bool is_gradient(const Operator& op) const {
    if (op.kind != OperatorKind::product || op.pass == Pass::forward) return false;
    return op.pass == Pass::input_gradient ? is_matrix(op.inputs[1]) : is_matrix(s_.tensors[op.outputs[0]].gradient_of);
  }
  /// Which copies of the first operator's `dy` are read before it is written again: transposed for weights.
  Wanted readers_of(std::span<const Operator> ops) const {
    const TensorId dy = ops.front().inputs[0];
    Wanted wanted{};
    for (const Operator& op : ops) {
      if (is_gradient(op) && op.inputs[0] == dy)
        (op.pass == Pass::weight_gradient ? wanted.transposed : wanted.plain) = true;
      if (std::find(op.outputs.begin(), op.outputs.end(), dy) != op.outputs.end()) break;
    }
    return wanted;
  }
  /// Whether the gradient of a weight reads x.
  bool is_read(const std::vector<Operator>& backward, TensorId x) const {
    return std::any_of(backward.begin(), backward.end(), [&](const Operator& op) {
      return is_gradient(op) && op.pass == Pass::weight_gradient && op.inputs[1] == x;
    });
  }

  std::vector<Copies>::const_iterator found(TensorId source) const {
    return std::find_if(copies_.begin(), copies_.end(), [&](const Copies& c) { return c.source == source; });
  }

  /// The copies of a tensor, made before its first reader in either pass; the first reader names them.
  Copies copy(const Operator& reader, TensorId source, const Shape& shape, int scale, Wanted wanted) {
    const bool again = is_matrix(source) && to_ == &s_.backward;
    if (const auto made = found(source); made != copies_.end() && !again) return *made;
    const Tensor of = s_.tensors[source];
    const auto make = [&](const char* suffix) {
      Tensor t{};
      t.name = reader.name;
      t.role = of.role == Role::gradient ? Role::gradient : Role::activation;
      t.width = Width::fp8;
      t.elements = of.elements;
      t.suffix = suffix;
      t.scale = static_cast<std::int8_t>(scale + matrix_of(reader.name));
      s_.tensors.push_back(t);
      return static_cast<TensorId>(s_.tensors.size() - 1);
    };
    Copies made{source, wanted.plain ? make("fp8") : kNone, wanted.transposed ? make("fp8_transposed") : kNone};
    Operator cast{};
    cast.kind = OperatorKind::quantize;
    cast.pass = to_ == &s_.forward ? Pass::forward : Pass::input_gradient;
    cast.name = reader.name;
    cast.inputs[0] = source;
    cast.outputs = {made.plain, made.transposed, kNone, kNone};
    cast.flop.factor = 0;
    cast.m = shape.rows, cast.n = shape.columns;
    to_->push_back(cast);
    copies_.push_back(made);
    return made;
  }

  Segment& s_;
  std::vector<Operator>* to_ = nullptr;
  std::vector<TensorId> matrices_;
  std::vector<Copies> copies_;
};

}  // namespace

void quantize(Segment& block) { Quantizer(block).run(); }

}  // namespace dtcalc
