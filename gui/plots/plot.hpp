// What all plots share: a title, a legend above the axes, axes with units, colours of the theme. Plots hold the
// library's figures in base units (bytes, seconds, FLOP); only the tick labels are scaled.
#pragma once

#include <QString>

#include "gui/models/units.hpp"
#include "gui/plots/theme.hpp"

class QCPAxis;
class QCustomPlot;
class QWidget;

namespace dtcalc::gui {

/// A plot with one title, ready to be filled. `title` is also its accessible name.
QCustomPlot* new_plot(QWidget* parent, const QString& title);
void set_title(QCustomPlot& plot, const QString& title);
/// Takes out every series and item; axes, title and theme stay.
void clear(QCustomPlot& plot);
void paint_theme(QCustomPlot& plot, const Theme& theme);

/// A linear axis from 0 to a little above `maximum`, labelled `what (unit)` in the prefix that suits the maximum.
void linear_axis(QCPAxis& axis, const QString& what, Unit unit, double maximum);
/// An axis of whole numbers from 0 to `maximum`, with every second one named.
void whole_axis(QCPAxis& axis, const QString& what, double maximum);
/// A logarithmic axis over [minimum, maximum] and a little more.
void log_axis(QCPAxis& axis, const QString& what, Unit unit, double minimum, double maximum);

/// Where a line across the plot lies, and its name: at a value of the y axis with the name at its right or left end, or
/// at one of the x axis.
enum class Line : unsigned char { named_right, named_left, vertical };
void line_at(QCustomPlot& plot, double value, const QString& name, const QColor& colour, Line look = Line::named_right);
/// A message where the plot would be empty.
void say(QCustomPlot& plot, const QString& text);

}  // namespace dtcalc::gui
