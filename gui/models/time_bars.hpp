// What the time view draws: the parts of a step and the time of each group of kernels, seconds.
#pragma once

#include <QString>
#include <vector>

#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

struct TimePart {
  QString name;
  double seconds = 0;
};
/// Compute, what communication adds on each axis, bubble, optimizer, host; they add up to the step (to the prefill of a
/// scenario without training).
std::vector<TimePart> step_parts(const Evaluation& evaluation);

struct GroupTime {
  QString name;
  double forward = 0, recompute = 0, backward = 0, optimizer = 0;
  double total() const { return forward + recompute + backward + optimizer; }
};
/// By time, longest first, the phases of a group together.
std::vector<GroupTime> group_times(const Evaluation& evaluation);

/// "142k tokens/s" of the training step, "3.9k images/s" of an image model.
QString throughput_text(const Evaluation& evaluation);

}  // namespace dtcalc::gui
