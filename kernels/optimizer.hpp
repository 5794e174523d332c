// Optimizer updates over flat parameter arrays, and the global gradient norm; the twin of engine/cpu/optimizer.hpp.
// Called by the CUDA backend once per step.
#pragma once

#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// As dtcalc::cpu::AdamW. `state` (device memory) may be given: its step, learning_rate and gradient_factor then
/// replace those here, and its skip is obeyed.
struct AdamW {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double weight_decay = 0;     ///< decoupled: parameter -= learning_rate weight_decay parameter
  std::int64_t step = 1;       ///< 1 for the first update (bias correction)
  double gradient_factor = 1;  ///< on the gradient, for clipping and averaging
  const StepState* state = nullptr;
};

/// master (float), first and second moment (elements) in place; Loshchilov, Hutter (2019). `weights` receives the
/// master rounded to nearest even, null when T is float and the master is the weight.
template <class T, class G>
[[nodiscard]] cudaError_t adamw(const Context& context, const AdamW& options, std::int64_t elements, float* master,
                                const G* gradient, float* first_moment, float* second_moment, T* weights);

/// Which noise rounds a tensor: a function of (seed, step, tensor, element) alone, so neither launch shape nor sharding
/// matters and a resumed run rounds as the uninterrupted one did.
struct RoundingKey {
  std::uint64_t seed = 0;
  std::uint32_t tensor = 0;        ///< as the caller numbers the tensors
  std::int64_t first_element = 0;  ///< index in the tensor of the first element handed over
};

/// The same without master: bf16 weights are both read and written, rounded stochastically (up with the probability of
/// the distance to the lower neighbour), the moments float.
template <class G>
[[nodiscard]] cudaError_t adamw_stochastic(const Context& context, const AdamW& options, const RoundingKey& key,
                                           std::int64_t elements, bf16* weights, const G* gradient, float* first_moment,
                                           float* second_moment);

/// As dtcalc::cpu::Sgd, with `state` as for AdamW.
struct Sgd {
  double learning_rate = 1e-3;
  double momentum = 0;
  double weight_decay = 0;  ///< decoupled, as for AdamW
  double gradient_factor = 1;
  const StepState* state = nullptr;
};

/// velocity = momentum velocity + gradient; master -= learning_rate velocity. Plain SGD when `velocity` is null.
/// `weights` as for adamw.
template <class T, class G>
[[nodiscard]] cudaError_t sgd(const Context& context, const Sgd& options, std::int64_t elements, float* master,
                              const G* gradient, float* velocity, T* weights);

/// Scratch of squared_norm in bytes.
std::int64_t squared_norm_workspace_bytes();

/// sum (one double) = or += the sum of squares in double, in an order that depends on `elements` only. Two kernels, no
/// atomics.
template <class G>
[[nodiscard]] cudaError_t squared_norm(const Context& context, std::int64_t elements, const G* x, double* sum,
                                       bool accumulate);

/// From the squared norm of the gradients as they lie in memory: norm = factor sqrt(squared) (one double, unless null),
/// state->gradient_factor = factor min(1, limit / norm) with limit 0 for no clipping, and state->skip = 1 when the norm
/// is not finite, else 0. `factor` is 1 / loss scale.
[[nodiscard]] cudaError_t clip_gradients(const Context& context, const double* squared, double factor, double limit,
                                         double* norm, StepState* state);

}  // namespace dtcalc::cuda
