// Fresh parameters of a run, the same for every backend. Called by the executors' `initialize`.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/binding.hpp"
#include "engine/cpu/thread_pool.hpp"

namespace dtcalc::cpu {

/// Normal with standard deviation 0.5 / sqrt(D) (GPT-2's 0.02 at D = 600 and scale-free), projections into the residual
/// stream smaller by sqrt(2 L); norms one, biases zero. Element e of tensor i is a function of (seed, i, e) alone.
/// `values` is indexed by ParameterView::offset.
template <class T>
void initialize_parameters(ThreadPool& pool, const Model& model, std::uint64_t seed,
                           const std::vector<ParameterView>& parameters, T* values);

}  // namespace dtcalc::cpu
