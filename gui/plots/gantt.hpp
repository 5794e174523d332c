// A Gantt chart: rows of slices over time. Called by the timeline view.
#pragma once

#include <vector>

#include "gui/plots/qcustomplot.hpp"

namespace dtcalc::gui {

struct Slice {
  int row = 0;  ///< 0 is on top
  double start = 0, end = 0;
  int kind = 0;  ///< index into the colours
};

/// Slices sorted by row and then by start; those narrower than a pixel are drawn once per pixel, so that a hundred
/// thousand cost no more than the screen is wide.
class Gantt : public QCPAbstractPlottable {
 public:
  Gantt(QCustomPlot& plot, std::vector<Slice> slices, std::vector<QBrush> looks);

  const std::vector<Slice>& slices() const { return slices_; }
  /// The slice at a pixel, or nullptr.
  const Slice* at(const QPointF& pixel) const;

  double selectTest(const QPointF& pixel, bool only_selectable, QVariant* details) const override;
  QCPRange getKeyRange(bool& found, QCP::SignDomain domain) const override;
  QCPRange getValueRange(bool& found, QCP::SignDomain domain, const QCPRange& keys) const override;

 protected:
  void draw(QCPPainter* painter) override;
  void drawLegendIcon(QCPPainter* painter, const QRectF& rect) const override;

 private:
  std::vector<Slice> slices_;
  std::vector<QBrush> looks_;
};

}  // namespace dtcalc::gui
