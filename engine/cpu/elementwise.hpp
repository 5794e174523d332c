// Bias, dropout, sums and scaling: the loops that stand between products. Called by the executor.
#pragma once

#include "engine/cpu/context.hpp"
#include "engine/cpu/philox.hpp"

namespace dtcalc::cpu {

/// y (rows, columns) in place: y = dropout(y + bias). `bias` (columns) may be null; p = 0 switches dropout off. Element
/// (r, c) has index r columns + c in the mask of `key`.
template <class T>
void bias_dropout_forward(Context& context, std::int64_t rows, std::int64_t columns, T* y, const T* bias, double p,
                          const DropoutKey& key);

/// dy in place: the gradient through the dropout of the same key; elements = rows x columns of the forward.
template <class T>
void dropout_backward(Context& context, std::int64_t elements, T* dy, double p, const DropoutKey& key);

/// dbias (columns) += sum of dy (rows, columns) over the rows.
template <class T>
void bias_gradient(Context& context, std::int64_t rows, std::int64_t columns, const T* dy, T* dbias);

/// out = a + b; out may be a or b.
template <class T>
void add(Context& context, std::int64_t elements, T* out, const T* a, const T* b);

/// x = factor x.
template <class T>
void scale(Context& context, std::int64_t elements, T* x, double factor);

}  // namespace dtcalc::cpu
