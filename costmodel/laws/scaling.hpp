// Chinchilla's law (6.1) turned around: the best split of a compute budget, the tokens that a loss needs, isoFLOP
// curves, and the best model when it will also be used. Called by `dtcalc scaling` and by plans for a loss.
//
// Parameters and tokens are doubles here: the laws are fits over six orders of magnitude, not counts. Compute is
// 6 N tokens, (4.3). Arguments without Result are trusted to be positive and finite.
#pragma once

#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::laws {

/// A model of so many parameters trained on so many tokens, and the loss in nats that a fit gives it.
struct Allocation {
  double parameters = 0, tokens = 0, loss = 0;
};

Allocation allocation(const formulas::ChinchillaFit& fit, double parameters, double tokens);

/// 6 N tokens.
Flop compute_of(const Allocation& allocation);

/// Least loss at 6 N tokens = C: closed form, and a golden-section search over ln N that knows only (6.1). The loss is
/// flat at its minimum, so the search finds N to about the square root of a double's precision.
Allocation optimum(const formulas::ChinchillaFit& fit, Flop compute);
Allocation optimum_by_search(const formulas::ChinchillaFit& fit, Flop compute);

/// The budget whose optimum has these parameters, or these tokens: alpha A N^-alpha = beta B tokens^-beta.
Allocation optimum_with_parameters(const formulas::ChinchillaFit& fit, double parameters);
Allocation optimum_with_tokens(const formulas::ChinchillaFit& fit, double tokens);

/// The cheapest training that reaches a loss: N = (A (1 + alpha/beta) / (L - E))^(1/alpha). An error at or below E.
Result<Allocation> optimum_for_loss(const formulas::ChinchillaFit& fit, double loss);

/// The tokens that a model of N parameters needs for a loss, or the parameters that so many tokens need. An error when
/// no amount suffices: the loss is at or below E + A/N^alpha (E + B/tokens^beta); the reason says what can be reached.
Result<Allocation> with_tokens_for_loss(const formulas::ChinchillaFit& fit, double parameters, double loss);
Result<Allocation> with_parameters_for_loss(const formulas::ChinchillaFit& fit, double tokens, double loss);

/// A point of the curve 6 N tokens = C.
struct IsoflopPoint {
  Flop compute{0};
  Allocation at;
  bool minimum = false;
};

/// `points` models evenly spaced in ln N from 1/32 to 32 times the optimum, which is the one in the middle and marked.
/// `points` is odd and at least 3.
std::vector<IsoflopPoint> isoflop_curve(const formulas::ChinchillaFit& fit, Flop compute, int points);

/// The model of a loss that costs least FLOPs over training and use: least 6 N tokens + 2 N tokens_used, the objective
/// of Sardana et al. 2024 (arXiv:2401.00448, Sec. 2). Found by search over ln N; smaller and trained longer than the
/// optimum for training alone, which it is at tokens_used = 0.
struct LifetimeOptimum {
  Allocation at;
  Flop training{0}, inference{0};
};
Result<LifetimeOptimum> lifetime_optimum(const formulas::ChinchillaFit& fit, double loss, double tokens_used);

}  // namespace dtcalc::laws
