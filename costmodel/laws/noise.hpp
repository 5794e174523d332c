// The gradient noise scale from gradient norms at two batch sizes. Called by `dtcalc batch`.
//
// |g_B|^2 of a batch of B examples is |g|^2 + Tr Sigma / B on average, (E.1): two batch sizes give both unknowns.
// McCandlish et al. 2018 (arXiv:1812.06162), App. A.1.
#pragma once

#include <span>

#include "costmodel/error.hpp"

namespace dtcalc::laws {

/// Squared norms |g_B|^2 of gradients over batches of `batch` examples, at the same weights or over the same few steps.
struct NormsAtBatch {
  double batch = 0;
  std::span<const double> squared_norms;
};

/// Each of the two is unbiased; their quotient is not (the more norms, the less it is off), which is why the means are
/// taken first. Single estimates of |g|^2 can be negative.
struct NoiseEstimate {
  double gradient_squared = 0;  ///< |g|^2
  double trace_sigma = 0;       ///< Tr Sigma, of the gradient of one example
  double b_simple = 0;          ///< (E.4) Tr Sigma / |g|^2, examples
};

/// |g|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b) and Tr Sigma = (|g_b|^2 - |g_B|^2) / (1/b - 1/B) with the means of the
/// squared norms; may be negative. `small.batch` < `big.batch`, both with at least one norm.
NoiseEstimate estimate_noise(const NormsAtBatch& small, const NormsAtBatch& big);

/// The same, checked: batches in order, norms positive and finite, and both estimates positive; an error says which is
/// not and that more norms are needed.
Result<NoiseEstimate> noise_scale(const NormsAtBatch& small, const NormsAtBatch& big);

}  // namespace dtcalc::laws
