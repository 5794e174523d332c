// Softmax cross-entropy, (1.12) with E22. Called by the executor on the logits of a micro-batch or of a chunk of it.
#pragma once

#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

struct LossSum {
  double total = 0;         ///< sum of -ln softmax(z)_target over the counted rows, in nats, added in row order
  std::int64_t tokens = 0;  ///< rows whose target is not negative

  double mean() const { return total / static_cast<double>(tokens); }
};

/// logits (rows, vocabulary), targets (rows) with -1 for a row that does not count. `softcap` > 0 replaces z by
/// cap tanh(z / cap). `row_loss` (rows) receives the loss of each row, 0 where it does not count.
template <class T>
LossSum loss_forward(Context& context, std::int64_t rows, std::int64_t vocabulary, const T* logits,
                     const std::int32_t* targets, double softcap, T* row_loss);

/// The same, and the logits are overwritten by their gradient times `factor`: (softmax(z) - onehot) factor, through the
/// softcap; rows that do not count get 0. `factor` is 1 / tokens for the gradient of the mean.
template <class T>
LossSum loss_forward_backward(Context& context, std::int64_t rows, std::int64_t vocabulary, T* logits,
                              const std::int32_t* targets, double softcap, double factor, T* row_loss);

}  // namespace dtcalc::cpu
