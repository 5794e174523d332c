// Residual sum with LayerNorm or RMSNorm, (1.1) with E01: mean and biased variance over the hidden dimension, per
// position. Called by the executor for every norm of a block and for the final one.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

struct NormOptions {
  Norm kind = Norm::layer_norm;
  double epsilon = 1e-5;
  bool weight_offset = false;  ///< the stored weight is gamma - 1 (Gemma)
};

/// residual = x + delta, y = norm(residual) gamma + beta; all (rows, hidden).
/// `delta` null: residual = x. `residual` may be x itself, and may be null (not written) when `delta` is null. `gamma`
/// (hidden) null means 1, `beta` (hidden) null means 0. `mean` and `rstd` = 1 / sqrt(var + epsilon) (rows) are written
/// unless null; RMSNorm has no mean. `y` may be any of the inputs when `residual` is another buffer.
template <class T>
void residual_norm_forward(Context& context, const NormOptions& options, std::int64_t rows, std::int64_t hidden,
                           const T* x, const T* delta, T* residual, const T* gamma, const T* beta, T* y, T* mean,
                           T* rstd);

/// Scratch of norm_backward, in bytes; 0 when neither dgamma nor dbeta is wanted.
template <class T>
std::int64_t norm_backward_workspace_bytes(std::int64_t rows, std::int64_t hidden);

/// Gradient of the norm alone (the residual sum only copies gradients). `residual` is the norm's input, `mean` (null
/// for RMSNorm) and `rstd` come from the forward. dx = or += by `accumulate`; dx may be dy when not accumulating.
/// `dgamma` and `dbeta` (hidden) are accumulated, null when frozen or absent.
template <class T>
void norm_backward(Context& context, const NormOptions& options, std::int64_t rows, std::int64_t hidden, const T* dy,
                   const T* residual, const T* gamma, const T* mean, const T* rstd, T* dx, bool accumulate, T* dgamma,
                   T* dbeta);

}  // namespace dtcalc::cpu
