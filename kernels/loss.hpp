// Softmax cross-entropy, (1.12) with E22; the twin of engine/cpu/loss.hpp. Called by the CUDA backend on the logits of
// a micro-batch or of a chunk of its rows.
#pragma once

#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// logits (rows, vocabulary), targets (rows) with -1 for a row that does not count. `softcap` > 0 replaces z by
/// cap tanh(z / cap). `row_loss` (rows) receives the loss of each row in nats, 0 where it does not count.
template <class T>
[[nodiscard]] cudaError_t loss_forward(const Context& context, std::int64_t rows, std::int64_t vocabulary,
                                       const T* logits, const std::int32_t* targets, double softcap, float* row_loss);

/// The same, and the logits are overwritten by their gradient times `factor`: (softmax(z) - onehot) factor, through the
/// softcap; rows that do not count get 0. `factor` is 1 / tokens for the gradient of the mean.
template <class T>
[[nodiscard]] cudaError_t loss_forward_backward(const Context& context, std::int64_t rows, std::int64_t vocabulary,
                                                T* logits, const std::int32_t* targets, double softcap, double factor,
                                                float* row_loss);

/// total (one double) = or += the sum of row_loss, by one block in an order that depends on `rows` only.
[[nodiscard]] cudaError_t loss_sum(const Context& context, std::int64_t rows, const float* row_loss, double* total,
                                   bool accumulate);

}  // namespace dtcalc::cuda
