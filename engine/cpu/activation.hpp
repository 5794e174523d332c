// Activation functions of the MLP, plain and gated (GLU, (2.2) with E80). Called by the executor.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// y = phi(x); y may be x.
template <class T>
void activation_forward(Context& context, Activation activation, std::int64_t elements, const T* x, T* y);

/// dx = dy phi'(x), from the input x (E26); dx may be dy. ReLU's derivative at 0 is 0.
template <class T>
void activation_backward(Context& context, Activation activation, std::int64_t elements, const T* x, const T* dy,
                         T* dx);

/// y = phi(gate) up; y may be gate or up.
template <class T>
void gated_activation_forward(Context& context, Activation activation, std::int64_t elements, const T* gate,
                              const T* up, T* y);

/// dgate = dy up phi'(gate), dup = dy phi(gate); the outputs may be any of the inputs (dgate and dup differ).
template <class T>
void gated_activation_backward(Context& context, Activation activation, std::int64_t elements, const T* gate,
                               const T* up, const T* dy, T* dgate, T* dup);

}  // namespace dtcalc::cpu
