// Bars and curves: the series of most views as plain values, drawn on a plot. Called by the views.
#pragma once

#include <QColor>
#include <QString>
#include <vector>

#include "gui/plots/plot.hpp"

class QCustomPlot;

namespace dtcalc::gui {

/// One layer of stacked bars: a value for every bar.
struct Layer {
  QString name;
  QColor colour;
  std::vector<double> values;
};

struct BarLook {
  double width = 0.72;
  double shift = 0;  ///< along the key axis
  bool in_legend = true;
  bool horizontal = false;
};

/// Stacks the layers at keys 0, 1, …; layers without any value are left out. Returns the highest stack.
double stack_bars(QCustomPlot& plot, const std::vector<Layer>& layers, const BarLook& look);
/// The part of each bar above `limit`, hatched.
void hatch_above(QCustomPlot& plot, const std::vector<double>& totals, double limit, const QColor& colour,
                 const BarLook& look);
/// Names of bars 0, 1, … on an axis; on the y axis the first is on top.
void name_bars(QCustomPlot& plot, const std::vector<QString>& names, bool horizontal);
/// A text at the end of each horizontal bar.
void label_bars(QCustomPlot& plot, const std::vector<double>& ends, const std::vector<QString>& texts,
                const QColor& colour);

struct Curve {
  QString name;
  QColor colour;
  std::vector<double> x, y;
  Qt::PenStyle line = Qt::SolidLine;
  bool points = false;
  double width = 2;
  bool in_legend = true;
};

void add_curve(QCustomPlot& plot, const Curve& curve);
/// A single point with its name beside it.
void add_point(QCustomPlot& plot, double x, double y, const QString& name, const QColor& colour, double size = 9,
               bool hollow = false);
/// Shows the legend with so many columns, when there is more than one name.
void show_legend(QCustomPlot& plot, int columns);

/// Smallest and largest of the values that are positive and finite, for logarithmic axes; 1 and 10 without any.
struct Extent {
  double low = 1, high = 10;
};
Extent extent_of(const std::vector<const std::vector<double>*>& lists);

}  // namespace dtcalc::gui
