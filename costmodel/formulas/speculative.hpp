// Closed forms of speculative decoding (11.4): acceptance, the residual distribution, expected tokens, speed-up. The
// notes give (11.1) and (11.2); the rest is Leviathan et al. 2022 (section 4 of the errata). Used by the tests of
// generation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dtcalc::formulas {

/// beta = sum_x min(p(x), q(x)): probability that a token drawn from the draft q is accepted for the target p.
double spec_acceptance(std::span<const double> p, std::span<const double> q);

/// (11.2) (p - min(p, q)) / (1 - beta): what the first rejected position is drawn from. All zeros when p = q (never
/// needed).
std::vector<double> spec_residual(std::span<const double> p, std::span<const double> q);

/// Expected tokens per target pass with gamma drafts, each accepted with probability alpha independently:
/// (1 - alpha^(gamma+1)) / (1 - alpha), gamma + 1 at alpha = 1.
double spec_expected_tokens(double alpha, std::int64_t gamma);

/// Speed-up over plain decoding: E[tokens] / (gamma c + 1), c = t_draft / t_target.
double spec_speedup(double alpha, std::int64_t gamma, double c);

/// Operations per token over plain decoding: (gamma c_ops + gamma + 1) / E[tokens].
double spec_ops_factor(double alpha, std::int64_t gamma, double c_ops);

/// The gamma of 0 … gmax with the largest speed-up, the smallest on ties; 0 if alpha <= c.
std::int64_t spec_optimal_gamma(double alpha, double c, std::int64_t gmax);

}  // namespace dtcalc::formulas
