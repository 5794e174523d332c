// Writing a view: picture (PNG, SVG, PDF), its figures (CSV), the scenario's estimate (JSON). Called by the window and
// by --screenshot.
#pragma once

#include <QImage>
#include <QString>
#include <vector>

#include "costmodel/error.hpp"

namespace dtcalc::gui {

class Store;
class View;

/// The picture in its 256 most frequent colours, for small files: windows and plots have few, text has many greys.
QImage with_palette(const QImage& picture);

/// By the file's ending: png, svg, pdf, csv, json. Whole or not at all.
std::vector<Error> export_view(View& view, const Store& store, const QString& file);

}  // namespace dtcalc::gui
