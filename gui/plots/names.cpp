#include "gui/plots/names.hpp"

#include "gui/plots/qcustomplot.hpp"

#include <array>
#include <cmath>
#include <vector>

namespace dtcalc::gui {
namespace {

/// A text that `place_names` moves.
class PointName : public QCPItemText {
 public:
  PointName(QCustomPlot& plot, bool optional) : QCPItemText(&plot), optional_(optional) {}
  bool optional() const { return optional_; }

 private:
  bool optional_;
};

/// Costs of a place, in pixels of line that it covers: a text is never covered where there is a choice, a point counts
/// as much as its width.
constexpr double kText = 1e4, kPoint = 9, kSecondCorner = 0.1;

/// What names should not cover.
struct Obstacles {
  std::vector<QRectF> texts;
  std::vector<QLineF> lines;
  std::vector<QPointF> points;
};

/// The length of the line inside the box: by clipping it to each side in turn.
double length_inside(const QLineF& line, const QRectF& box) {
  double from = 0, to = 1;
  const auto clip = [&](double start, double step, double low, double high) {
    if (step == 0) return start >= low && start <= high;
    const double one = (low - start) / step, other = (high - start) / step;
    from = std::max(from, std::min(one, other)), to = std::min(to, std::max(one, other));
    return from < to;
  };
  const bool inside = clip(line.x1(), line.dx(), box.left(), box.right()) &&
                      clip(line.y1(), line.dy(), box.top(), box.bottom()) && from < to;
  return inside ? (to - from) * line.length() : 0;
}

QRectF box_of(const QCPItemText& text) {
  return QRectF(text.topLeft->pixelPosition(), text.bottomRight->pixelPosition())
      .marginsRemoved(QMarginsF(text.padding()));
}

Obstacles obstacles_of(const QCustomPlot& plot) {
  Obstacles found;
  for (int i = 0; i < plot.graphCount(); ++i) {
    const QCPGraph& graph = *plot.graph(i);
    const bool drawn = graph.lineStyle() != QCPGraph::lsNone;
    bool first = true;
    QPointF last;
    for (const QCPGraphData& data : *graph.data()) {
      const QPointF at(plot.xAxis->coordToPixel(data.key), plot.yAxis->coordToPixel(data.value));
      if (drawn && !first) found.lines.emplace_back(last, at);
      if (!graph.scatterStyle().isNone()) found.points.push_back(at);
      last = at, first = false;
    }
  }
  for (int i = 0; i < plot.itemCount(); ++i) {
    QCPAbstractItem* item = plot.item(i);
    if (const auto* text = qobject_cast<QCPItemText*>(item); text != nullptr && !dynamic_cast<PointName*>(item))
      found.texts.push_back(box_of(*text));
    if (const auto* line = qobject_cast<QCPItemLine*>(item))
      found.lines.emplace_back(line->start->pixelPosition(), line->end->pixelPosition());
    if (const auto* line = qobject_cast<QCPItemStraightLine*>(item))
      found.lines.emplace_back(line->point1->pixelPosition(), line->point2->pixelPosition());
  }
  return found;
}

double cost_of(const QRectF& box, const QRectF& axes, const Obstacles& obstacles) {
  double cost = axes.contains(box) ? 0 : kText;  // what lies outside is cut
  for (const QRectF& text : obstacles.texts)
    if (text.intersects(box)) cost += kText;
  for (const QLineF& line : obstacles.lines) cost += length_inside(line, box);
  for (const QPointF& point : obstacles.points)
    if (box.adjusted(-kPoint / 2, -kPoint / 2, kPoint / 2, kPoint / 2).contains(point)) cost += kPoint;
  return cost;
}

PointName* new_name(QCustomPlot& plot, double x, double y, const QString& text, const QColor& colour, bool optional) {
  auto* name = new PointName(plot, optional);
  name->position->setCoords(x, y);
  name->setText(text);
  name->setColor(colour);
  name->setFont(plot.xAxis->tickLabelFont());
  name->setPadding(QMargins(6, 3, 6, 3));
  return name;
}

}  // namespace

void name_point(QCustomPlot& plot, double x, double y, const QString& text, const QColor& colour) {
  (void)new_name(plot, x, y, text, colour, false);
}

void name_point_if_free(QCustomPlot& plot, double x, double y, const QString& text, const QColor& colour) {
  (void)new_name(plot, x, y, text, colour, true);
}

void place_names(QCustomPlot& plot) {
  std::vector<PointName*> names;
  for (int i = 0; i < plot.itemCount(); ++i)
    if (auto* name = dynamic_cast<PointName*>(plot.item(i))) names.push_back(name);
  if (names.empty()) return;
  static constexpr std::array<Qt::Alignment, 4> kCorners{Qt::AlignLeft | Qt::AlignBottom, Qt::AlignLeft | Qt::AlignTop,
                                                         Qt::AlignRight | Qt::AlignBottom,
                                                         Qt::AlignRight | Qt::AlignTop};
  const QRectF axes(plot.axisRect()->rect());
  Obstacles obstacles = obstacles_of(plot);
  for (PointName* name : names) {
    double least = INFINITY;
    Qt::Alignment best;
    for (std::size_t i = 0; i < kCorners.size(); ++i) {
      name->setPositionAlignment(kCorners[i]);
      const double cost = cost_of(box_of(*name), axes, obstacles) + kSecondCorner * static_cast<double>(i);
      if (cost < least) least = cost, best = kCorners[i];
    }
    name->setPositionAlignment(best);
    const bool shown = !name->optional() || least < kText;
    name->setVisible(shown);
    if (shown) obstacles.texts.push_back(box_of(*name));
  }
}

}  // namespace dtcalc::gui
