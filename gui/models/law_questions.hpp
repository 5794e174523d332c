// What the scaling and batch views ask the laws about the present scenario: the questions that `dtcalc scaling` and
// `dtcalc batch` would ask for it.
#pragma once

#include <string>

#include "costmodel/laws/batch_report.hpp"
#include "costmodel/laws/scaling_report.hpp"
#include "gui/models/state.hpp"

namespace dtcalc::gui {

/// Why the laws of loss say nothing about this scenario; empty for a language model that is trained from scratch.
std::string refusal_of_laws(const Scenario& scenario);

/// An error where the laws say nothing.
Result<laws::ScalingReport> ask_scaling(const Evaluation& evaluation, const Questions& questions);
/// Of a scenario with training. An error where the critical batch would come from a law of loss that says nothing.
Result<laws::BatchReport> ask_batch(const Evaluation& evaluation, const Questions& questions);

/// The fits have seen no model of this size on so many tokens.
bool beyond_the_fits(const laws::Allocation& at);

/// A point of the best split of a compute budget.
struct FrontierPoint {
  double compute = 0;
  laws::Allocation at;
  bool extrapolated = false;  ///< beyond the models and tokens that the fit has seen
};
/// The optimal frontier from `low` to `high` FLOP, evenly in the logarithm.
std::vector<FrontierPoint> frontier(const formulas::ChinchillaFit& fit, double low, double high, int points);

}  // namespace dtcalc::gui
