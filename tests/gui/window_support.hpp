// A window over a store for the GUI's tests, and readers of what its plots show.
#pragma once

#include <QApplication>
#include <QTest>
#include <string>
#include <vector>

#include "gui/main_window.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/views/field_editor.hpp"
#include "gui/views/scenario_panel.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui::test {

struct Shown {
  Store store;
  MainWindow window{store};

  explicit Shown(const std::string& view = "memory") {
    store.show_view(view);
    window.show();
    settle();
  }
  /// Until slow work is done and everything is painted.
  void settle() {
    REQUIRE(QTest::qWaitFor([this] { return !window.present_view().busy(); }, 30000));
    QApplication::processEvents();
  }
  void set(const std::string& change) {
    const auto errors = store.set({&change, 1});
    CAPTURE(change, describe(errors));
    REQUIRE(errors.empty());
    settle();
  }
  View& view() { return window.present_view(); }
  QCustomPlot& plot(const QString& title) {
    for (QCustomPlot* plot : view().findChildren<QCustomPlot*>())
      if (plot->accessibleName().startsWith(title)) return *plot;
    FAIL("no plot " << title.toStdString());
    throw std::logic_error("unreachable");
  }
};

/// The values of the bars with this name.
inline std::vector<double> bars(QCustomPlot& plot, const QString& name) {
  std::vector<double> values;
  for (int i = 0; i < plot.plottableCount(); ++i)
    if (auto* each = qobject_cast<QCPBars*>(plot.plottable(i)); each != nullptr && each->name() == name)
      for (const QCPBarsData& bar : *each->data()) values.push_back(bar.value);
  return values;
}

/// The points of the first graph with this name.
inline std::vector<QPointF> points(QCustomPlot& plot, const QString& name) {
  std::vector<QPointF> found;
  for (int i = 0; i < plot.graphCount(); ++i) {
    if (plot.graph(i)->name() != name) continue;
    for (const QCPGraphData& point : *plot.graph(i)->data()) found.emplace_back(point.key, point.value);
    return found;
  }
  return found;
}

/// A series with points, or cells of a heat map: more than lines and words about them.
inline bool shows_data(QCustomPlot& plot) {
  for (int i = 0; i < plot.itemCount(); ++i)
    if (qobject_cast<QCPItemRect*>(plot.item(i)) != nullptr) return true;
  for (int i = 0; i < plot.plottableCount(); ++i) {
    bool found = false;
    (void)plot.plottable(i)->getKeyRange(found);
    if (found) return true;
  }
  return false;
}

/// What stands in the place of a plot that has nothing to show; empty while it shows axes.
inline QString message_in(QCustomPlot& plot) {
  if (plot.xAxis->visible()) return {};
  for (int i = 0; i < plot.itemCount(); ++i)
    if (auto* item = qobject_cast<QCPItemText*>(plot.item(i))) return item->text();
  return {};
}

}  // namespace dtcalc::gui::test
