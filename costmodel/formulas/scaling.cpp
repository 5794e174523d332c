// Scaling laws; see scaling.hpp.
#include "costmodel/formulas/scaling.hpp"

#include <cmath>
#include <numbers>

namespace dtcalc::formulas {

double kaplan_loss_N(double N) { return std::pow(8.8e13 / N, 0.076); }

double kaplan_loss_D(double tokens) { return std::pow(5.4e13 / tokens, 0.095); }

double kaplan_loss_C(double C) { return std::pow(3.1e8 * flop_per_petaflops_day / C, 0.050); }

double eq_6_1_loss(const ChinchillaFit& fit, double N, double tokens) {
  return fit.E + fit.A / std::pow(N, fit.alpha) + fit.B / std::pow(tokens, fit.beta);
}

double chinchilla_loss_hoffmann(double N, double tokens) { return eq_6_1_loss(hoffmann, N, tokens); }

double chinchilla_loss_hoffmann_tex(double N, double tokens) { return eq_6_1_loss(hoffmann_tex, N, tokens); }

double chinchilla_loss_besiroglu(double N, double tokens) { return eq_6_1_loss(besiroglu, N, tokens); }

ChinchillaExponents chinchilla_exponents(const ChinchillaFit& fit) {
  return {fit.beta / (fit.alpha + fit.beta), fit.alpha / (fit.alpha + fit.beta)};
}

ChinchillaOptimum chinchilla_optimum(const ChinchillaFit& fit, double C) {
  // At the optimum alpha A N^-alpha = beta B tokens^-beta.
  const double balance = std::pow(fit.alpha * fit.A / (fit.beta * fit.B), 1 / (fit.alpha + fit.beta));
  ChinchillaOptimum optimum{};
  optimum.N = balance * std::pow(C / 6, chinchilla_exponents(fit).a);
  optimum.tokens = C / 6 / optimum.N;
  optimum.tokens_per_param = optimum.tokens / optimum.N;
  optimum.loss = eq_6_1_loss(fit, optimum.N, optimum.tokens);
  return optimum;
}

double cosine_lr(double s, double s_warm, double s_max, double lr_min, double lr_max) {
  if (s < s_warm) return lr_max * s / s_warm;
  if (s >= s_max) return lr_min;
  const double x = (s - s_warm) / (s_max - s_warm);
  return lr_min + (lr_max - lr_min) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

}  // namespace dtcalc::formulas
