#include "costmodel/laws/noise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "costmodel/formulas/batch.hpp"

namespace dtcalc::laws {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

bool usable(const NormsAtBatch& norms) {
  const auto positive = [](double x) { return x > 0 && std::isfinite(x); };
  return positive(norms.batch) && !norms.squared_norms.empty() &&
         std::all_of(norms.squared_norms.begin(), norms.squared_norms.end(), positive);
}

}  // namespace

NoiseEstimate estimate_noise(const NormsAtBatch& small, const NormsAtBatch& big) {
  const double at_small = mean(small.squared_norms), at_big = mean(big.squared_norms);
  NoiseEstimate estimate;
  estimate.gradient_squared = (big.batch * at_big - small.batch * at_small) / (big.batch - small.batch);
  estimate.trace_sigma = (at_small - at_big) / (1 / small.batch - 1 / big.batch);
  estimate.b_simple = formulas::eq_E_4_b_simple(estimate.trace_sigma, estimate.gradient_squared);
  return estimate;
}

Result<NoiseEstimate> noise_scale(const NormsAtBatch& small, const NormsAtBatch& big) {
  if (!usable(small) || !usable(big))
    return Error{"gradient norms", "", "are not positive numbers at both batch sizes",
                 "give at least one norm at each of two batch sizes"};
  if (!(small.batch < big.batch))
    return Error{"gradient norms", fmt::format("{} and {}", small.batch, big.batch),
                 "are not a smaller and a larger batch", "give two batch sizes, far apart"};
  const NoiseEstimate estimate = estimate_noise(small, big);
  const char* more = "average over more gradients, or take batch sizes further apart";
  if (!(estimate.gradient_squared > 0) || !std::isfinite(estimate.gradient_squared))
    return Error{"gradient norms", "",
                 fmt::format("are noise alone: the estimate of |g|^2 is {:.4g}", estimate.gradient_squared), more};
  if (!(estimate.trace_sigma > 0) || !std::isfinite(estimate.b_simple))
    return Error{"gradient norms", "",
                 fmt::format("do not fall with the batch: the estimate of Tr Sigma is {:.4g}", estimate.trace_sigma),
                 more};
  return estimate;
}

}  // namespace dtcalc::laws
