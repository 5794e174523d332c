// Predictions beside a family's measured figures: error per row, mean absolute error and bias per figure, and which
// part of the predicted time the error points to. Called by `dtcalc validate --published` and the tests.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "costmodel/published/family.hpp"

namespace dtcalc::published {

/// One figure of one row. Either both values, or a reason why the model says nothing.
struct Compared {
  Figure figure = Figure::step;
  double measured = 0, predicted = 0;  ///< SI units
  std::string skipped;                 ///< reason; empty when there is a prediction

  /// predicted / measured - 1.
  double error() const { return predicted / measured - 1; }
};

struct ComparedRow {
  std::string id, trust, note;
  std::vector<Compared> figures;
  bool fits = true;  ///< whether the predicted memory does not exceed the device's
  /// Predicted seconds of a step by group of kernels, bubble, exposed communication and waiting for the host; empty
  /// for inference.
  std::vector<std::pair<std::string, double>> parts;
  double measured_step_s = 0;  ///< what the row's figure of speed means in seconds a step; 0 when it has none
};

struct Summary {
  Figure figure = Figure::step;
  int rows = 0;
  double mean_absolute_error = 0;  ///< of |predicted / measured - 1|
  double bias = 0;                 ///< mean of predicted / measured - 1
  std::string worst;               ///< row
  double worst_error = 0;
  std::optional<double> goal;
};

/// A part of the predicted time that, multiplied by one factor in all rows, would take away the most of the error: a
/// pointer to where the model is off, never a correction.
struct Suspect {
  std::string part;
  double share = 0;   ///< of the predicted time, mean over rows
  double factor = 1;  ///< within [1/5, 5]
  double error_left = 0;
};

struct Comparison {
  Family family;
  std::vector<ComparedRow> rows;
  std::vector<Summary> summaries;  ///< one per figure that has at least one prediction
  std::vector<Suspect> suspects;   ///< at most five, by the error they leave
  int skipped_figures = 0, skipped_rows = 0;
};

/// Predicts every row; rows that cannot be predicted are kept with the reason. `overrides` (path=value) are applied to
/// all rows, last.
Comparison compare(Family family, const Folders& folders, std::span<const std::string> overrides = {});

/// Whether a family's figures are all within `tolerance`.
bool within(const Comparison& comparison, double tolerance);

}  // namespace dtcalc::published
