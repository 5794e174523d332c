// The weights of a model whose norms were folded (costmodel/graph/fold.hpp): W' = W diag(gamma), b' = b + W beta,
// (1.2).
#pragma once

#include "engine/cpu/executor.hpp"

namespace dtcalc {

/// Fills `to`, made for fold_norms(from.scenario().model), so that both compute the same outputs. Tensors of the same
/// name are copied, biases that are new start at zero.
template <class T>
void fold_weights(cpu::Executor<T>& from, cpu::Executor<T>& to);

extern template void fold_weights<float>(cpu::Executor<float>&, cpu::Executor<float>&);
extern template void fold_weights<double>(cpu::Executor<double>&, cpu::Executor<double>&);

}  // namespace dtcalc
