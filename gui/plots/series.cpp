#include "gui/plots/series.hpp"

#include "gui/plots/qcustomplot.hpp"

#include <algorithm>
#include <cmath>

#include "gui/plots/names.hpp"

namespace dtcalc::gui {
namespace {

QVector<double> keys_of(std::size_t count, double shift) {
  QVector<double> keys(static_cast<qsizetype>(count));
  for (qsizetype i = 0; i < keys.size(); ++i) keys[i] = static_cast<double>(i) + shift;
  return keys;
}

QVector<double> vector_of(const std::vector<double>& values) { return QVector<double>(values.begin(), values.end()); }

QCPBars* new_bars(QCustomPlot& plot, const BarLook& look) {
  QCPAxis* key = look.horizontal ? plot.yAxis : plot.xAxis;
  QCPAxis* value = look.horizontal ? plot.xAxis : plot.yAxis;
  auto* bars = new QCPBars(key, value);
  bars->setWidth(look.width);
  bars->setAntialiased(false);
  return bars;
}

}  // namespace

double stack_bars(QCustomPlot& plot, const std::vector<Layer>& layers, const BarLook& look) {
  std::vector<double> sums;
  QCPBars* below = nullptr;
  for (const Layer& layer : layers) {
    sums.resize(std::max(sums.size(), layer.values.size()));
    if (std::all_of(layer.values.begin(), layer.values.end(), [](double v) { return !(v > 0); })) continue;
    QCPBars* bars = new_bars(plot, look);
    bars->setName(layer.name);
    bars->setPen(Qt::NoPen);
    bars->setBrush(layer.colour);
    bars->setData(keys_of(layer.values.size(), look.shift), vector_of(layer.values), true);
    if (below != nullptr) bars->moveAbove(below);
    below = bars;
    if (!look.in_legend) bars->removeFromLegend();
    for (std::size_t i = 0; i < layer.values.size(); ++i) sums[i] += layer.values[i];
  }
  return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
}

void hatch_above(QCustomPlot& plot, const std::vector<double>& totals, double limit, const QColor& colour,
                 const BarLook& look) {
  std::vector<double> over;
  for (const double total : totals) over.push_back(std::max(0.0, total - limit));
  if (std::all_of(over.begin(), over.end(), [](double v) { return v == 0; })) return;
  QCPBars* bars = new_bars(plot, look);
  bars->setName(QStringLiteral("does not fit"));
  bars->setBaseValue(limit);
  bars->setPen(QPen(colour, 1));
  bars->setBrush(QBrush(colour, Qt::BDiagPattern));
  bars->setData(keys_of(totals.size(), look.shift), vector_of(over), true);
}

void name_bars(QCustomPlot& plot, const std::vector<QString>& names, bool horizontal) {
  QCPAxis* axis = horizontal ? plot.yAxis : plot.xAxis;
  const auto ticker = QSharedPointer<QCPAxisTickerText>::create();
  // So many that their names do not touch.
  const std::size_t every = horizontal ? 1 : std::max<std::size_t>(1, (names.size() + 15) / 16);
  for (std::size_t i = 0; i < names.size(); i += every) ticker->addTick(static_cast<double>(i), names[i]);
  axis->setScaleType(QCPAxis::stLinear);
  axis->setTicker(ticker);
  axis->setTickLength(0, 0);
  axis->setSubTicks(false);
  axis->grid()->setVisible(false);
  axis->setRangeReversed(horizontal);
  axis->setRange(-0.6, static_cast<double>(std::max<std::size_t>(names.size(), 1)) - 0.4);
}

void label_bars(QCustomPlot& plot, const std::vector<double>& ends, const std::vector<QString>& texts,
                const QColor& colour) {
  for (std::size_t i = 0; i < ends.size(); ++i) {
    auto* item = new QCPItemText(&plot);
    item->setPositionAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    item->position->setCoords(ends[i], static_cast<double>(i));
    item->setText(texts[i]);
    item->setColor(colour);
    item->setFont(plot.xAxis->tickLabelFont());
    item->setPadding(QMargins(4, 0, 0, 0));
    item->setClipToAxisRect(false);
  }
}

void add_curve(QCustomPlot& plot, const Curve& curve) {
  QCPGraph* graph = plot.addGraph();
  graph->setName(curve.name);
  graph->setPen(curve.line == Qt::NoPen ? QPen(Qt::NoPen) : QPen(curve.colour, curve.width, curve.line));
  // Sorting would mix up what happens at one instant.
  graph->setData(vector_of(curve.x), vector_of(curve.y), std::is_sorted(curve.x.begin(), curve.x.end()));
  if (curve.points) graph->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssDisc, curve.colour, curve.colour, 5));
  if (curve.line == Qt::NoPen) graph->setLineStyle(QCPGraph::lsNone);
  if (!curve.in_legend) graph->removeFromLegend();
}

void add_point(QCustomPlot& plot, double x, double y, const QString& name, const QColor& colour, double size,
               bool hollow) {
  QCPGraph* graph = plot.addGraph();
  graph->setLineStyle(QCPGraph::lsNone);
  graph->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(colour, 1.6),
                                         hollow ? QBrush(Qt::NoBrush) : QBrush(colour), size));
  graph->setName(name);
  graph->setData({x}, {y});
  graph->removeFromLegend();
  if (!name.isEmpty()) name_point(plot, x, y, name, colour);
}

void show_legend(QCustomPlot& plot, int columns) {
  plot.legend->setWrap(columns);
  plot.legend->setFillOrder(QCPLayoutGrid::foColumnsFirst, true);  // arranges the entries anew
  plot.legend->setVisible(plot.legend->itemCount() > 1);
}

Extent extent_of(const std::vector<const std::vector<double>*>& lists) {
  double low = INFINITY, high = 0;
  for (const auto* list : lists)
    for (const double v : *list)
      if (v > 0 && std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  if (!(high > 0)) return {};
  return {low, std::max(high, low * 1.2)};
}

}  // namespace dtcalc::gui
