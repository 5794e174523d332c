// Derivatives taken from outputs: ReLU, tanh and sigmoid need no input (E26), and a soft cap is a tanh. Called by the
// executor.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// dx = dy phi'(x) where y = phi(x) is given; only for relu, tanh and sigmoid. dx may be dy.
template <class T>
void activation_backward_from_output(Context& context, Activation activation, std::int64_t elements, const T* y,
                                     const T* dy, T* dx);

/// y = cap tanh(x / cap); y may be x.
template <class T>
void softcap_forward(Context& context, double cap, std::int64_t elements, const T* x, T* y);

/// dx = dy (1 - (y / cap)^2); dx may be dy.
template <class T>
void softcap_backward(Context& context, double cap, std::int64_t elements, const T* y, const T* dy, T* dx);

}  // namespace dtcalc::cpu
