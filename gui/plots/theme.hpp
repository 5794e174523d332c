// Colours of windows and plots, light and dark. Called by the window, the views and the plots.
#pragma once

#include <QColor>
#include <QPalette>
#include <array>
#include <string_view>

namespace dtcalc::gui {

/// Names of the series colours where they have a meaning; other series count through them.
enum Hue : unsigned { blue, orange, teal, red, green, purple, yellow, grey };

struct Theme {
  std::string_view name;
  QColor window, base, text, muted, grid, accent, warning;
  std::array<QColor, 8> series;  ///< by Hue; told apart by people with any colour vision (Okabe and Ito 2008)
};

const Theme& theme_named(std::string_view name);
QPalette palette_of(const Theme& theme);
/// For check marks and sliders, whose edges the style draws in shades of the window: they stand out from a dark one.
QPalette palette_of_marks(const Theme& theme);
/// The series' colour with so much of the background in it: the pinned scenario beside the present one.
QColor pale(const Theme& theme, const QColor& colour);
/// Black or white, whichever reads better on the colour.
QColor ink_on(const QColor& colour);
inline QColor series_colour(const Theme& theme, std::size_t i) { return theme.series[i % theme.series.size()]; }

}  // namespace dtcalc::gui
