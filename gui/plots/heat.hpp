// A heat map over named rows and columns; cells without a value are hatched. Called by the plan view.
#pragma once

#include <optional>
#include <vector>

#include "gui/plots/plot.hpp"

namespace dtcalc::gui {

struct Heat {
  std::vector<QString> columns, rows;                      ///< along x and y
  std::vector<std::vector<std::optional<double>>> values;  ///< [row][column]
};

/// Every cell coloured between `low` and `high` of its values and labelled with `text`.
void show_heat(QCustomPlot& plot, const Heat& heat, const Theme& theme, Unit unit);

}  // namespace dtcalc::gui
