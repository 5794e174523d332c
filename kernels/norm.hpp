// Residual sum with LayerNorm or RMSNorm, (1.1) with E01; the twin of engine/cpu/norm.hpp. Called by the CUDA backend.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "kernels/context.hpp"

namespace dtcalc::cuda {

struct NormOptions {
  Norm kind = Norm::layer_norm;
  double epsilon = 1e-5;
  bool weight_offset = false;  ///< the stored weight is gamma - 1 (Gemma)
};

/// residual = x + delta, rounded to T; y = norm(residual) gamma + beta; all (rows, hidden).
/// `delta` null: residual = x. `residual` may be x itself, and may be null (not written) when `delta` is null. `gamma`
/// (hidden) null means 1, `beta` (hidden) null means 0. `mean` and `rstd` = 1 / sqrt(var + epsilon) (rows) are written
/// unless null; RMSNorm has no mean. `y` may be any of the inputs when `residual` is another buffer.
template <class T>
[[nodiscard]] cudaError_t residual_norm_forward(const Context& context, const NormOptions& options, std::int64_t rows,
                                                std::int64_t hidden, const T* x, const T* delta, T* residual,
                                                const T* gamma, const T* beta, T* y, float* mean, float* rstd);

/// Scratch of norm_backward in bytes; not needed when neither dgamma nor dbeta is wanted.
std::int64_t norm_backward_workspace_bytes(std::int64_t rows, std::int64_t hidden);

/// Gradient of the norm alone (the residual sum only copies gradients). `residual` is the norm's input, `mean` (null
/// for RMSNorm) and `rstd` come from the forward. dx = or += by `accumulate`; dx may be dy when not accumulating.
/// `dgamma` and `dbeta` (hidden) are accumulated, null when frozen or absent.
template <class T, class G>
[[nodiscard]] cudaError_t norm_backward(const Context& context, const NormOptions& options, std::int64_t rows,
                                        std::int64_t hidden, const T* dy, const T* residual, const T* gamma,
                                        const float* mean, const float* rstd, T* dx, bool accumulate, G* dgamma,
                                        G* dbeta);

}  // namespace dtcalc::cuda
