// A heat map over named rows and columns; cells without a value are hatched. Called by the plan view.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "gui/plots/plot.hpp"

namespace dtcalc::gui {

struct Heat {
  std::vector<QString> columns, rows;                           ///< along x and y
  std::vector<std::vector<std::optional<double>>> values;       ///< [row][column]
  std::optional<std::pair<std::size_t, std::size_t>> framed{};  ///< row and column of the cell with a frame
};

/// The values that have the palest and the strongest colour.
struct HeatScale {
  double low = 0, high = 0;
};
/// From the smallest to the largest value of all maps, so that they can be compared.
HeatScale scale_of(const std::vector<const Heat*>& maps);

/// Every cell with a value is coloured by it and labelled with it.
void show_heat(QCustomPlot& plot, const Heat& heat, const HeatScale& scale, const Theme& theme, Unit unit);

}  // namespace dtcalc::gui
