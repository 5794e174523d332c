// The softmax of attention with the S x K matrix in memory; the twin of engine/cpu/attention_naive.hpp, whose products
// are strided batches of cuBLASLt here. Called by the CUDA backend.
#pragma once

#include "kernels/attention.hpp"

namespace dtcalc::cuda {

/// probabilities (B, A, S, K) of raw scores (without scale); may be the same buffer. With dropout > 0 `dropped`
/// receives the probabilities after dropout (another buffer); unused otherwise. A query that sees no key gets a row of
/// zeros.
template <class T>
[[nodiscard]] cudaError_t attention_softmax_forward(const Context& context, const AttentionShape& shape,
                                                    const AttentionOptions& options, const T* scores, T* probabilities,
                                                    T* dropped);

/// dscores (B, A, S, K), of the raw scores (scale included), from the gradient of the dropped probabilities; dscores
/// may be `gradient`. `probabilities` before dropout; `scores` are the raw ones, needed with softcap only (else null).
template <class T>
[[nodiscard]] cudaError_t attention_softmax_backward(const Context& context, const AttentionShape& shape,
                                                     const AttentionOptions& options, const T* probabilities,
                                                     const T* scores, const T* gradient, T* dscores);

}  // namespace dtcalc::cuda
