// Names beside points: where they lie when curves, lines and other names are in their way.
#include "gui/plots/names.hpp"
#include "gui/plots/plot.hpp"
#include "gui/plots/series.hpp"
#include "plot_texts.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

namespace {

/// A plot from 0 to 10 in both directions, about 40 pixels a unit.
std::unique_ptr<QCustomPlot> plot_of_tens() {
  std::unique_ptr<QCustomPlot> plot(new_plot(nullptr, "tens"));
  plot->resize(480, 480);
  plot->xAxis->setRange(0, 10), plot->yAxis->setRange(0, 10);
  return plot;
}

QPointF pixel(const QCustomPlot& plot, double x, double y) {
  return {plot.xAxis->coordToPixel(x), plot.yAxis->coordToPixel(y)};
}

/// Where the middle of the only name lies, seen from the point: right and above are positive.
QPointF side_of(QCustomPlot& plot, double x, double y) {
  plot.replot();
  const auto texts = item_texts(plot);
  REQUIRE(texts.size() == 1);
  const QPointF apart = texts.front().box.center() - pixel(plot, x, y);
  return {apart.x(), -apart.y()};
}

}  // namespace

TEST_CASE("a name keeps away from the curve through its point, on whichever side that runs") {
  for (const auto& [slope, left, below] : {std::tuple(1.0, false, true), {-1.0, false, false}}) {
    const auto plot = plot_of_tens();
    add_curve(*plot, {"line", Qt::blue, {0, 10}, {5 - 5 * slope, 5 + 5 * slope}});
    name_point(*plot, 5, 5, "a name", Qt::red);
    const QPointF side = side_of(*plot, 5, 5);
    CAPTURE(slope);
    CHECK((side.x() < 0) == left);
    CHECK((side.y() < 0) == below);
  }
}

TEST_CASE("a name is not cut by the plot's edge") {
  for (const double x : {0.05, 9.95})
    for (const double y : {0.05, 9.95}) {
      const auto plot = plot_of_tens();
      name_point(*plot, x, y, "a long name of a point", Qt::red);
      const QPointF side = side_of(*plot, x, y);
      CAPTURE(x, y);
      CHECK((side.x() > 0) == (x < 5));
      CHECK((side.y() > 0) == (y < 5));
    }
}

TEST_CASE("names of one place take its four corners, and a fifth is left out where it may be") {
  const auto plot = plot_of_tens();
  for (int i = 0; i < 5; ++i) name_point_if_free(*plot, 5, 5, QString("name %1").arg(i), Qt::red);
  plot->replot();
  std::vector<PlacedText> shown;
  for (int i = 0; i < plot->itemCount(); ++i)
    if (auto* text = qobject_cast<QCPItemText*>(plot->item(i)); text->visible())
      shown.push_back({text->text(), QRectF(text->topLeft->pixelPosition(), text->bottomRight->pixelPosition())});
  CHECK(shown.size() == 4);
  CHECK(shown.front().text == "name 0");
  CHECK(overlaps(shown).empty());
  // One that must be there stays, and a plot that grows places all anew.
  name_point(*plot, 9.9, 9.9, "an important name", Qt::red);
  for (const int size : {300, 700}) {
    plot->resize(size, size);
    plot->replot();
    auto* last = qobject_cast<QCPItemText*>(plot->item(plot->itemCount() - 1));
    CHECK(last->visible());
    CHECK(last->bottomRight->pixelPosition().x() < pixel(*plot, 9.9, 9.9).x() + 0.5);
  }
}
