// Optimizer updates over flat parameter arrays and the global gradient norm. Called by the executor once per step.
#pragma once

#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

struct AdamW {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double weight_decay = 0;     ///< decoupled: parameter -= learning_rate weight_decay parameter
  std::int64_t step = 1;       ///< 1 for the first update (bias correction)
  double gradient_factor = 1;  ///< on the gradient, for clipping and averaging
};

/// parameter, first and second moment (elements) in place; Loshchilov, Hutter (2019).
template <class T>
void adamw(Context& context, const AdamW& options, std::int64_t elements, T* parameter, const T* gradient,
           T* first_moment, T* second_moment);

struct Sgd {
  double learning_rate = 1e-3;
  double momentum = 0;
  double weight_decay = 0;  ///< decoupled, as for AdamW
  double gradient_factor = 1;
};

/// velocity = momentum velocity + gradient; parameter -= learning_rate velocity. Plain SGD when `velocity` is null.
template <class T>
void sgd(Context& context, const Sgd& options, std::int64_t elements, T* parameter, const T* gradient, T* velocity);

/// Sum of squares in double, in an order that depends on `elements` only.
template <class T>
double squared_norm(Context& context, std::int64_t elements, const T* x);

}  // namespace dtcalc::cpu
