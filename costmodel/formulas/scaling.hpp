// Closed forms of Sec. 6: Kaplan's and Chinchilla's scaling laws and the cosine schedule of footnote 38. Used by
// `scaling` and the tests. Empirical fits: everything is a double; losses in nats per token, compute in FLOP.
#pragma once

namespace dtcalc::formulas {

constexpr double flop_per_petaflops_day = 8.64e19;  ///< 1e15 FLOP/s for 86400 s

// ---- Kaplan et al. 2020: one resource limits, the other two do not (test loss, E40; N without embeddings)

double kaplan_loss_N(double N);       ///< (8.8e13 / N)^0.076
double kaplan_loss_D(double tokens);  ///< (5.4e13 / N_tokens)^0.095
double kaplan_loss_C(double C);       ///< (3.1e8 PFLOP/s-days / C)^0.050, C in FLOP, batch size chosen for compute

// ---- Chinchilla, (6.1): L = E + A/N^alpha + B/N_tokens^beta

/// One fit. The constants belong together: mixing those of two fits gives a law that nobody fitted (E09).
struct ChinchillaFit {
  double E, A, B, alpha, beta;
};
/// Hoffmann et al. 2022, Approach 3 as printed, (6.2).
constexpr ChinchillaFit hoffmann{1.69, 406.4, 410.7, 0.34, 0.28};
/// The same with the unrounded digits of the arXiv source.
constexpr ChinchillaFit hoffmann_tex{1.6934, 406.4, 410.7, 0.3392, 0.2849};
/// Besiroglu et al. 2024, the re-fit that agrees with Approaches 1 and 2.
constexpr ChinchillaFit besiroglu{1.8172, 482.01, 2085.43, 0.3478, 0.3658};

double eq_6_1_loss(const ChinchillaFit& fit, double N, double tokens);

/// (6.1) with the constants of one fit.
double chinchilla_loss_hoffmann(double N, double tokens);
double chinchilla_loss_hoffmann_tex(double N, double tokens);
double chinchilla_loss_besiroglu(double N, double tokens);

/// N_opt ~ C^a, tokens_opt ~ C^b; a = beta/(alpha+beta), b = alpha/(alpha+beta), not 1/2 each (E09).
struct ChinchillaExponents {
  double a, b;
};
ChinchillaExponents chinchilla_exponents(const ChinchillaFit& fit);

/// Least loss at 6 N N_tokens = C.
struct ChinchillaOptimum {
  double N, tokens, tokens_per_param, loss;
};
ChinchillaOptimum chinchilla_optimum(const ChinchillaFit& fit, double C);

/// Learning rate at step s: linear from 0 to lr_max over s_warm steps, then half a cosine down to lr_min at s_max (E30;
/// the notes print a quarter cosine), lr_min after it.
double cosine_lr(double s, double s_warm, double s_max, double lr_min, double lr_max);

}  // namespace dtcalc::formulas
