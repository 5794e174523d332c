#include "gui/plots/gantt.hpp"

#include <algorithm>

namespace dtcalc::gui {
namespace {

constexpr double kHalfHeight = 0.42;  ///< of a row of 1

bool before(const Slice& a, const Slice& b) { return a.row != b.row ? a.row < b.row : a.start < b.start; }

}  // namespace

Gantt::Gantt(QCustomPlot& plot, std::vector<Slice> slices, std::vector<QBrush> looks)
    : QCPAbstractPlottable(plot.xAxis, plot.yAxis), slices_(std::move(slices)), looks_(std::move(looks)) {
  std::sort(slices_.begin(), slices_.end(), before);
  removeFromLegend();
}

const Slice* Gantt::at(const QPointF& pixel) const {
  double time = 0, row = 0;
  pixelsToCoords(pixel, time, row);
  const int nearest = static_cast<int>(std::lround(row));
  if (std::abs(row - nearest) > kHalfHeight) return nullptr;
  auto after = std::upper_bound(slices_.begin(), slices_.end(), Slice{nearest, time, time, 0}, before);
  if (after == slices_.begin()) return nullptr;
  --after;
  return after->row == nearest && after->end >= time ? &*after : nullptr;
}

double Gantt::selectTest(const QPointF& pixel, bool, QVariant*) const { return at(pixel) ? 0 : -1; }

QCPRange Gantt::getKeyRange(bool& found, QCP::SignDomain) const {
  found = !slices_.empty();
  double end = 0;
  for (const Slice& slice : slices_) end = std::max(end, slice.end);
  return {0, end};
}

QCPRange Gantt::getValueRange(bool& found, QCP::SignDomain, const QCPRange&) const {
  found = !slices_.empty();
  return {-0.5, found ? slices_.back().row + 0.5 : 0.5};
}

void Gantt::draw(QCPPainter* painter) {
  const QCPRange shown = mKeyAxis->range();
  painter->setAntialiasing(false);
  painter->setPen(Qt::NoPen);
  int row = -1, look = -1;
  double painted = 0;  // pixels of this row up to here are done
  for (const Slice& slice : slices_) {
    if (slice.end < shown.lower || slice.start > shown.upper) continue;
    const double left = mKeyAxis->coordToPixel(slice.start), right = mKeyAxis->coordToPixel(slice.end);
    if (slice.row != row) row = slice.row, painted = -1e9;
    if (right <= painted) continue;
    const double width = std::max(1.0, right - left - (right - left > 4 ? 0.6 : 0));
    painted = left + width;
    const double top = mValueAxis->coordToPixel(slice.row - kHalfHeight),
                 bottom = mValueAxis->coordToPixel(slice.row + kHalfHeight);
    if (slice.kind != look) painter->setBrush(looks_[static_cast<std::size_t>(look = slice.kind)]);
    painter->drawRect(QRectF(left, std::min(top, bottom), width, std::abs(bottom - top)));
  }
}

void Gantt::drawLegendIcon(QCPPainter*, const QRectF&) const {}

}  // namespace dtcalc::gui
