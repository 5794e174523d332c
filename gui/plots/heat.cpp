#include "gui/plots/heat.hpp"

#include <algorithm>

#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"

namespace dtcalc::gui {
namespace {

/// From the background to the series' blue.
QColor shade(const Theme& theme, double share) {
  const QColor a = theme.base, b = theme.series[blue];
  const auto mix = [&](float x, float y) { return static_cast<float>(x + (y - x) * share); };
  return QColor::fromRgbF(mix(a.redF(), b.redF()), mix(a.greenF(), b.greenF()), mix(a.blueF(), b.blueF()));
}

}  // namespace

void show_heat(QCustomPlot& plot, const Heat& heat, const Theme& theme, Unit unit) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& row : heat.values)
    for (const auto& value : row)
      if (value) low = std::min(low, *value), high = std::max(high, *value);
  name_bars(plot, heat.columns, false);
  name_bars(plot, heat.rows, true);
  plot.xAxis->setRange(-0.5, static_cast<double>(heat.columns.size()) - 0.5);
  plot.yAxis->setRange(-0.5, static_cast<double>(heat.rows.size()) - 0.5);
  for (std::size_t r = 0; r < heat.rows.size(); ++r)
    for (std::size_t c = 0; c < heat.columns.size(); ++c) {
      const std::optional<double>& value = heat.values[r][c];
      const double share = value && high > low ? 0.12 + 0.88 * (*value - low) / (high - low) : 0.5;
      auto* cell = new QCPItemRect(&plot);
      cell->topLeft->setCoords(static_cast<double>(c) - 0.5, static_cast<double>(r) - 0.5);
      cell->bottomRight->setCoords(static_cast<double>(c) + 0.5, static_cast<double>(r) + 0.5);
      cell->setPen(QPen(theme.base, 1));
      cell->setBrush(value ? QBrush(shade(theme, share)) : QBrush(theme.muted, Qt::BDiagPattern));
      if (!value) continue;
      auto* text = new QCPItemText(&plot);
      text->position->setCoords(static_cast<double>(c), static_cast<double>(r));
      text->setPositionAlignment(Qt::AlignCenter);
      text->setFont(plot.xAxis->tickLabelFont());
      text->setText(text_of(unit, *value));
      text->setColor(share > 0.55 && theme.name != "dark" ? QColor(Qt::white) : theme.text);
    }
}

}  // namespace dtcalc::gui
