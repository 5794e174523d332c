// Names beside points: placed by themselves where they cover nothing. `new_plot` places them whenever a plot has been
// laid out, because only then the pixels are known; views say what stands beside what.
#pragma once

#include <QColor>
#include <QString>

class QCustomPlot;

namespace dtcalc::gui {

/// A text beside the point (x, y): at the one of its four corners where it covers no other text and least of the
/// curves, points and lines. Names that were asked for earlier choose first.
void name_point(QCustomPlot& plot, double x, double y, const QString& text, const QColor& colour);
/// One that is left out where it would cover another text.
void name_point_if_free(QCustomPlot& plot, double x, double y, const QString& text, const QColor& colour);

/// Places all of them, in pixels of the present layout.
void place_names(QCustomPlot& plot);

}  // namespace dtcalc::gui
