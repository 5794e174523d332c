// Bias, dropout, sums, scaling and casts: what stands between products; the twin of engine/cpu/elementwise.hpp. Called
// by the CUDA backend.
#pragma once

#include "kernels/dropout.hpp"

namespace dtcalc::cuda {

/// y (rows, columns) = dropout(x + bias); y may be x. `bias` (columns) may be null; p = 0 switches dropout off. Element
/// (r, c) has index r columns + c in the mask of `key`.
template <class T>
[[nodiscard]] cudaError_t bias_dropout_forward(const Context& context, std::int64_t rows, std::int64_t columns,
                                               const T* x, T* y, const T* bias, double p, const DropoutKey& key);

/// dx = the gradient dy through the dropout of the same key; dx may be dy. elements = rows x columns of the forward.
template <class T>
[[nodiscard]] cudaError_t dropout_backward(const Context& context, std::int64_t elements, const T* dy, T* dx, double p,
                                           const DropoutKey& key);

/// Scratch of bias_gradient in bytes.
std::int64_t bias_gradient_workspace_bytes(std::int64_t rows, std::int64_t columns);

/// dbias (columns) += sum of dy (rows, columns) over the rows.
template <class T, class G>
[[nodiscard]] cudaError_t bias_gradient(const Context& context, std::int64_t rows, std::int64_t columns, const T* dy,
                                        G* dbias);

/// out = a + b; out may be a or b.
template <class T>
[[nodiscard]] cudaError_t add(const Context& context, std::int64_t elements, T* out, const T* a, const T* b);

/// x = factor x.
template <class T>
[[nodiscard]] cudaError_t scale(const Context& context, std::int64_t elements, T* x, double factor);

/// to = from, rounded to nearest even. Between any two of float, bf16 and fp16.
template <class From, class To>
[[nodiscard]] cudaError_t cast(const Context& context, std::int64_t elements, const From* from, To* to);

}  // namespace dtcalc::cuda
