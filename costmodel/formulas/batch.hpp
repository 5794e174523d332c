// Closed forms of App. E: batch size, gradient noise, steps against examples, time. Used by `batch` and the tests.
// Everything is a double; Bn is the gradient noise scale B_noise, kappa and sigma the seconds per example and per step.
// In E.6-E.9 E_min = Bn S_min.
#pragma once

namespace dtcalc::formulas {

double eq_E_3_learning_rate(double eta_max, double B, double Bn);  ///< (E.3) eta_max / (1 + Bn/B)
double eq_E_4_b_simple(double trace_sigma,
                       double g_squared);  ///< (E.4) Tr Sigma / |g|^2, for a Hessian like the identity

/// (E.5) with E14: expected drop of the loss in one step at the best rate, (1/2) eta_max |g|^2 / (1 + Bn/B). Second
/// order in eta.
double eq_E_5_loss_drop(double eta_max, double g_squared, double B, double Bn);

/// Text before (E.6): steps S = S_min (1 + Bn/B) and examples E = S_min (Bn + B) = B S. They satisfy (E.6) (S/S_min -
/// 1)(E/E_min - 1) = 1.
double sgd_steps(double S_min, double B, double Bn);
double sgd_examples(double S_min, double B, double Bn);

double eq_E_7_time(double B, double S_min, double E_min, double kappa,
                   double sigma);  ///< (E.7) (E_min + S_min B)(kappa B + sigma)/B
double eq_E_8_batch(double S_min, double E_min, double kappa,
                    double sigma);  ///< (E.8) sqrt(sigma E_min / (kappa S_min))
/// (E.9) with E15: (sqrt(kappa E_min) + sqrt(sigma S_min))^2, (E.7) at (E.8).
double eq_E_9_t_min(double S_min, double E_min, double kappa, double sigma);
/// Text after (E.9): 2(kappa E_min + sigma S_min), (E.7) at B = Bn = E_min/S_min.
double t_crit(double S_min, double E_min, double kappa, double sigma);
/// E15: t_crit / t_min = 2/(1 + 2 sqrt(sigma kappa Bn)/(kappa Bn + sigma)), in [1, 2].
double t_crit_over_t_min(double Bn, double kappa, double sigma);

}  // namespace dtcalc::formulas
