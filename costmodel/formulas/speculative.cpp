// Speculative decoding; see speculative.hpp.
#include "costmodel/formulas/speculative.hpp"

#include <algorithm>
#include <cmath>

namespace dtcalc::formulas {

double spec_acceptance(std::span<const double> p, std::span<const double> q) {
  double beta = 0;
  for (std::size_t x = 0; x < p.size(); ++x) beta += std::min(p[x], q[x]);
  return beta;
}

std::vector<double> spec_residual(std::span<const double> p, std::span<const double> q) {
  std::vector<double> residual(p.size());
  double sum = 0;  // 1 - beta, without its cancellation
  for (std::size_t x = 0; x < p.size(); ++x) sum += residual[x] = p[x] - std::min(p[x], q[x]);
  if (sum > 0) {
    for (double& value : residual) value /= sum;
  }
  return residual;
}

double spec_expected_tokens(double alpha, std::int64_t gamma) {
  const double count = static_cast<double>(gamma + 1);
  return alpha == 1 ? count : (1 - std::pow(alpha, count)) / (1 - alpha);
}

double spec_speedup(double alpha, std::int64_t gamma, double c) {
  return spec_expected_tokens(alpha, gamma) / (static_cast<double>(gamma) * c + 1);
}

double spec_ops_factor(double alpha, std::int64_t gamma, double c_ops) {
  const double drafts = static_cast<double>(gamma);
  return (drafts * c_ops + drafts + 1) / spec_expected_tokens(alpha, gamma);
}

std::int64_t spec_optimal_gamma(double alpha, double c, std::int64_t gmax) {
  std::int64_t best = 0;
  for (std::int64_t gamma = 1; gamma <= gmax; ++gamma) {
    if (spec_speedup(alpha, gamma, c) > spec_speedup(alpha, best, c)) best = gamma;
  }
  return best;
}

}  // namespace dtcalc::formulas
