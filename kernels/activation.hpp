// Activation functions of the MLP, plain and gated (GLU, (2.2) with E80), and derivatives taken from outputs (E26); the
// twin of engine/cpu/activation.hpp and activation_output.hpp. Called by the CUDA backend.
#pragma once

#include "costmodel/scenario/types.hpp"
#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// y = phi(x); y may be x.
template <class T>
[[nodiscard]] cudaError_t activation_forward(const Context& context, Activation activation, std::int64_t elements,
                                             const T* x, T* y);

/// dx = dy phi'(x), from the input x; dx may be dy. ReLU's derivative at 0 is 0.
template <class T>
[[nodiscard]] cudaError_t activation_backward(const Context& context, Activation activation, std::int64_t elements,
                                              const T* x, const T* dy, T* dx);

/// y = phi(gate) up; y may be gate or up.
template <class T>
[[nodiscard]] cudaError_t gated_activation_forward(const Context& context, Activation activation, std::int64_t elements,
                                                   const T* gate, const T* up, T* y);

/// dgate = dy up phi'(gate), dup = dy phi(gate); the outputs may be any of the inputs (dgate and dup differ).
template <class T>
[[nodiscard]] cudaError_t gated_activation_backward(const Context& context, Activation activation,
                                                    std::int64_t elements, const T* gate, const T* up, const T* dy,
                                                    T* dgate, T* dup);

/// dx = dy phi'(x) where y = phi(x) is given; only for relu, tanh and sigmoid. dx may be dy.
template <class T>
[[nodiscard]] cudaError_t activation_backward_from_output(const Context& context, Activation activation,
                                                          std::int64_t elements, const T* y, const T* dy, T* dx);

/// y = cap tanh(x / cap); y may be x.
template <class T>
[[nodiscard]] cudaError_t softcap_forward(const Context& context, double cap, std::int64_t elements, const T* x, T* y);

/// dx = dy (1 - (y / cap)^2); dx may be dy.
template <class T>
[[nodiscard]] cudaError_t softcap_backward(const Context& context, double cap, std::int64_t elements, const T* y,
                                           const T* dy, T* dx);

}  // namespace dtcalc::cuda
