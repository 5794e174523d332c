// What the scaling and batch views ask the laws about the present scenario: the questions that `dtcalc scaling` and
// `dtcalc batch` would ask for it.
#pragma once

#include "costmodel/laws/batch_report.hpp"
#include "costmodel/laws/scaling_report.hpp"
#include "gui/models/state.hpp"

namespace dtcalc::gui {

Result<laws::ScalingReport> ask_scaling(const Evaluation& evaluation, const Questions& questions);
laws::BatchReport ask_batch(const Evaluation& evaluation, const Questions& questions);

/// A point of the best split of a compute budget.
struct FrontierPoint {
  double compute = 0;
  laws::Allocation at;
  bool extrapolated = false;  ///< beyond the models and tokens that the fit has seen
};
/// The optimal frontier from `low` to `high` FLOP, evenly in the logarithm.
std::vector<FrontierPoint> frontier(const formulas::ChinchillaFit& fit, double low, double high, int points);

}  // namespace dtcalc::gui
