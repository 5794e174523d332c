// Rates and intensities; see hardware.hpp.
#include "costmodel/formulas/hardware.hpp"

namespace dtcalc::formulas {

double peak_flop_rate(double N_SM, double flop_per_cycle, double clock_hz) { return N_SM * flop_per_cycle * clock_hz; }

double math_intensity(double flops, double bw) { return flops / bw; }

double matmul_intensity(double m, double k, double n, double p) {
  return 2 * m * k * n / (p * (m * k + k * n + m * n));
}

double eq_D_1_intensity(double B, double S, double D, double p) { return 2 / p * B * S * D / (2 * B * S + D); }

double elementwise_intensity(double C, double p) { return C / (2 * p); }

double training_intensity(double B, double S, double D) { return B * S * D / (D + B * S); }

double eq_D_2_decode_mlp(double B, double D, double p) { return 2 / p * B * D / (2 * B + D); }

double eq_D_3_decode_attention(double B, double S, double D, double A, double G, double p) {
  const double g = G / A, weights = (2 + 2 * g) * D * D;
  return (2 * B * weights + 4 * B * S * D) / (p * (weights + 8 * B * D + 2 * B * S * D * g));
}

}  // namespace dtcalc::formulas
