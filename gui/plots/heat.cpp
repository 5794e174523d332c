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

HeatScale scale_of(const std::vector<const Heat*>& maps) {
  HeatScale scale{INFINITY, -INFINITY};
  for (const Heat* heat : maps)
    for (const auto& row : heat->values)
      for (const auto& value : row)
        if (value) scale = {std::min(scale.low, *value), std::max(scale.high, *value)};
  return scale;
}

void show_heat(QCustomPlot& plot, const Heat& heat, const HeatScale& scale, const Theme& theme, Unit unit) {
  name_bars(plot, heat.columns, false);
  name_bars(plot, heat.rows, true);
  plot.xAxis->setRange(-0.5, static_cast<double>(heat.columns.size()) - 0.5);
  plot.yAxis->setRange(-0.5, static_cast<double>(heat.rows.size()) - 0.5);
  for (std::size_t r = 0; r < heat.rows.size(); ++r)
    for (std::size_t c = 0; c < heat.columns.size(); ++c) {
      const std::optional<double>& value = heat.values[r][c];
      const double share =
          value && scale.high > scale.low ? 0.12 + 0.88 * (*value - scale.low) / (scale.high - scale.low) : 0.5;
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
      text->setColor(ink_on(shade(theme, share)));
    }
  if (!heat.framed) return;
  const auto [row, column] = *heat.framed;
  auto* frame = new QCPItemRect(&plot);
  frame->topLeft->setCoords(static_cast<double>(column) - 0.5, static_cast<double>(row) - 0.5);
  frame->bottomRight->setCoords(static_cast<double>(column) + 0.5, static_cast<double>(row) + 0.5);
  frame->setPen(QPen(theme.warning, 3));
}

}  // namespace dtcalc::gui
