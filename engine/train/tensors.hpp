// An executor's parameters and moments under the names that a checkpoint knows them by. Called by training (save,
// resume) and generation (load).
#pragma once

#include <vector>

#include "engine/cpu/executor.hpp"
#include "engine/io/safetensors.hpp"

namespace dtcalc {

/// The tensors in place, for saving and for loading: matrices (rows, columns), vectors (elements).
template <class T>
std::vector<safetensors::TensorTarget> parameter_tensors(cpu::Executor<T>& executor);

/// The optimizer's moments of the trained parameters: `NAME.first_moment`, `NAME.second_moment`.
template <class T>
std::vector<safetensors::TensorTarget> moment_tensors(cpu::Executor<T>& executor);

std::vector<safetensors::TensorView> views(const std::vector<safetensors::TensorTarget>& targets);

}  // namespace dtcalc
