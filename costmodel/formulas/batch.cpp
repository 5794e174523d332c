// Batch size and training time; see batch.hpp.
#include "costmodel/formulas/batch.hpp"

#include <cmath>

namespace dtcalc::formulas {

double eq_E_3_learning_rate(double eta_max, double B, double Bn) { return eta_max / (1 + Bn / B); }

double eq_E_4_b_simple(double trace_sigma, double g_squared) { return trace_sigma / g_squared; }

double eq_E_5_loss_drop(double eta_max, double g_squared, double B, double Bn) {
  return eta_max * g_squared / (1 + Bn / B) / 2;
}

double sgd_steps(double S_min, double B, double Bn) { return S_min * (1 + Bn / B); }

double sgd_examples(double S_min, double B, double Bn) { return S_min * (Bn + B); }

double eq_E_7_time(double B, double S_min, double E_min, double kappa, double sigma) {
  return (E_min + S_min * B) * (kappa * B + sigma) / B;
}

double eq_E_8_batch(double S_min, double E_min, double kappa, double sigma) {
  return std::sqrt(sigma * E_min / (kappa * S_min));
}

double eq_E_9_t_min(double S_min, double E_min, double kappa, double sigma) {
  const double root = std::sqrt(kappa * E_min) + std::sqrt(sigma * S_min);
  return root * root;
}

double t_crit(double S_min, double E_min, double kappa, double sigma) { return 2 * (kappa * E_min + sigma * S_min); }

double t_crit_over_t_min(double Bn, double kappa, double sigma) {
  return 2 / (1 + 2 * std::sqrt(sigma * kappa * Bn) / (kappa * Bn + sigma));
}

}  // namespace dtcalc::formulas
