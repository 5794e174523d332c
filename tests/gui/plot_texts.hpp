// The texts of a plot and where they lie, in pixels: for tests that none covers another and none is cut.
#pragma once

#include <QFontMetricsF>
#include <QRectF>
#include <vector>

#include "gui/plots/qcustomplot.hpp"

namespace dtcalc::gui::test {

struct PlacedText {
  QString text;
  QRectF box;
};

/// Names beside points, at lines and in bars.
inline std::vector<PlacedText> item_texts(QCustomPlot& plot) {
  std::vector<PlacedText> texts;
  for (int i = 0; i < plot.itemCount(); ++i)
    if (auto* item = qobject_cast<QCPItemText*>(plot.item(i));
        item != nullptr && item->visible() && !item->text().isEmpty()) {
      const QRectF box(item->topLeft->pixelPosition(), item->bottomRight->pixelPosition());
      const QMargins padding = item->padding();
      texts.push_back({item->text(), box.marginsRemoved(QMarginsF(padding))});
    }
  return texts;
}

/// The labels below the x axis or left of the y axis.
inline std::vector<PlacedText> tick_texts(QCPAxis& axis) {
  std::vector<PlacedText> texts;
  if (!axis.visible()) return texts;
  QVector<double> ticks;
  QVector<QString> labels;
  axis.ticker()->generate(axis.range(), QLocale(), axis.numberFormat().at(0), axis.numberPrecision(), ticks, nullptr,
                          &labels);
  const QFontMetricsF metrics(axis.tickLabelFont());
  const bool below = axis.axisType() == QCPAxis::atBottom;
  for (qsizetype i = 0; i < std::min(ticks.size(), labels.size()); ++i) {
    if (!axis.range().contains(ticks[i])) continue;
    const double at = axis.coordToPixel(ticks[i]);
    const QSizeF size(metrics.horizontalAdvance(labels[i]), metrics.ascent());
    const QPointF middle =
        below ? QPointF(at, axis.axisRect()->bottom() + 10) : QPointF(axis.axisRect()->left() - 10, at);
    texts.push_back({labels[i], QRectF(below ? middle.x() - size.width() / 2 : middle.x() - size.width(),
                                       middle.y() - size.height() / 2, size.width(), size.height())});
  }
  return texts;
}

/// Pairs of which one covers the other, as "a | b".
inline std::vector<QString> overlaps(const std::vector<PlacedText>& texts) {
  std::vector<QString> found;
  for (std::size_t i = 0; i < texts.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const QRectF both = texts[i].box.intersected(texts[j].box);
      if (both.width() > 1 && both.height() > 3) found.push_back(texts[j].text + " | " + texts[i].text);
    }
  return found;
}

}  // namespace dtcalc::gui::test
