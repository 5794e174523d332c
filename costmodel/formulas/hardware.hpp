// Closed forms of App. C and D: rates, arithmetic intensities. Used by `roofline` and the tests. FLOP per byte moved
// between device memory and chip; rates in FLOP/s and bytes/s.
#pragma once

namespace dtcalc::formulas {

double peak_flop_rate(double N_SM, double flop_per_cycle, double clock_hz);  ///< C.1: per SM and cycle, FLOP/s
double math_intensity(double flops, double bw);  ///< C.3: lambda_math = lambda_FLOP/s / lambda_mem

/// (m,k) x (k,n), both operands read and the result written once: 2mkn / (p(mk + kn + mn)). Exact when nothing is read
/// twice.
double matmul_intensity(double m, double k, double n, double p);

/// (D.1) with E11: (2/p) BSD/(2BS + D), which is matmul_intensity of (BS,D) x (D,D).
double eq_D_1_intensity(double B, double S, double D, double p);

/// D.1, E77: C FLOP per element, one read and one write: C/(2p).
double elementwise_intensity(double C, double p);

/// D.2, E43: training as a whole, leading order BSD/(D + BS) = O(min(BS, D)).
double training_intensity(double B, double S, double D);

/// (D.2) decode, one D x D Linear of the MLP: (2/p) BD/(2B + D), (D.1) at S = 1.
double eq_D_2_decode_mlp(double B, double D, double p);

/// (D.3) decode, the attention layer with its four Linears and its cache, g = G/A: (2BD^2(2+2g) + 4BSD) / (p((2+2g)D^2
/// + 8BD + 2BSDg)). The notes drop factors; E24: g < 1 raises the limit A-fold for MQA. H = D/A.
double eq_D_3_decode_attention(double B, double S, double D, double A, double G, double p);

}  // namespace dtcalc::formulas
