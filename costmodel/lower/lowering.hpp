// The partition of operators into groups and kernels. Internal to this folder: rules.cpp holds the rules of forward
// operators, rules_backward.cpp those of gradients.
#pragma once

#include <initializer_list>
#include <span>

#include "costmodel/lower/rules.hpp"

namespace dtcalc {

/// Every rule looks at the operators from a position on, says how many it takes, and appends their kernels. An operator
/// that no fusion takes becomes one kernel and one group.
class Lowering {
 public:
  Lowering(std::span<const Operator> ops, const Segment& segment, const Choices& choices, ExtentTable& extents)
      : ops_(ops), s_(segment), c_(choices), extents_(extents) {}

  Program run();

 private:
  // --- small vocabulary -------------------------------------------------------------------------------------------
  const Operator* peek(std::size_t ahead) const { return at_ + ahead < ops_.size() ? &ops_[at_ + ahead] : nullptr; }
  bool next_is(std::size_t ahead, OperatorKind kind, Pass pass) const;
  /// The operator `ahead` is `kind` and reads what the operator before it wrote.
  bool chained(std::size_t ahead, OperatorKind kind, Pass pass) const;
  Kernel& emit(Contract contract, const Operator& op, std::initializer_list<TensorId> operands);
  void product_shape(Kernel& kernel, const Operator& op);
  void take(std::size_t count) { at_ += count; }
  /// Names the group of the operators taken since the last one and joins it to its neighbour of the same name.
  void close_group();
  /// 2 products of 2 FLOPs forward; 5 backward, the scores being computed again.
  void flash_shape(Kernel& kernel);

  // rules.cpp
  void forward(const Operator& op);
  void embedding(const Operator& op);
  void product(const Operator& op);
  void flash(const Operator& scores);
  void mask(const Operator& op);
  void loss();
  /// Of either pass.
  void quantize(const Operator& op);

  // rules_backward.cpp
  void backward(const Operator& op);
  void enter_gradient(const Operator& op);
  void product_gradient(const Operator& op);
  /// Where the bias was fused, its gradient belongs to the product's group.
  void bias_gradient(const Operator& op);
  void take_products();
  void dropout_gradient(const Operator& op);
  void embedding_gradients();
  /// `dp` is the gradient of the dropped probabilities when dropout is part of the kernel.
  void softmax_backward(TensorId dp, TensorId mask, bool drops);
  void flash_backward();
  void activation_backward(const Operator& op);
  void position_backward(const Operator& op);

  std::span<const Operator> ops_;
  const Segment& s_;
  const Choices& c_;
  ExtentTable& extents_;
  Program program_;
  std::size_t at_ = 0, group_from_ = 0, kernels_from_ = 0;
};

}  // namespace dtcalc
