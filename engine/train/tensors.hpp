// Parameters and moments in memory under the names that a checkpoint knows them by. Called by the backends' `state` and
// by the checkpoint's readers and writers.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/binding.hpp"
#include "engine/io/safetensors.hpp"

namespace dtcalc {

/// What a backend keeps of fp8 beside the moments: the largest magnitudes of past steps, from which scales follow. A
/// checkpoint may lack it (then there is no past), and a run in another precision passes over it.
inline constexpr const char* kFp8HistoryTensor = "fp8.amax_history";

/// The tensors in place, for saving and for loading: matrices (rows, columns), vectors (elements). `values` is indexed
/// by ParameterView::offset.
template <class T>
std::vector<safetensors::TensorTarget> parameter_tensors(const std::vector<ParameterView>& parameters, T* values);

/// The optimizer's moments of the trained parameters: `NAME.first_moment`, `NAME.second_moment`. Moment m begins at
/// `values + m stride`.
template <class T>
std::vector<safetensors::TensorTarget> moment_tensors(const std::vector<ParameterView>& parameters, T* values,
                                                      int moments, std::int64_t stride);

std::vector<safetensors::TensorView> views(const std::vector<safetensors::TensorTarget>& targets);

}  // namespace dtcalc
