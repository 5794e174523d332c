#include "gui/about.hpp"

#include "costmodel/build_info.hpp"
#include "gui/plots/qcustomplot.hpp"

#include <fmt/core.h>
#include <QMainWindow>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <nlohmann/json.hpp>

namespace dtcalc::gui {

void show_shortcuts(QMainWindow& window) {
  QString text = QStringLiteral("<table cellspacing=4>");
  for (const QAction* menu : window.menuBar()->actions()) {
    text += QStringLiteral("<tr><td colspan=2><b>%1</b></td></tr>").arg(menu->text().remove(QLatin1Char('&')));
    for (const QAction* action : menu->menu()->actions())
      if (!action->isSeparator())
        text +=
            QStringLiteral("<tr><td>%1</td><td>%2</td></tr>")
                .arg(action->text().remove(QLatin1Char('&')), action->shortcut().toString(QKeySequence::NativeText));
  }
  text += QObject::tr(
      "<tr><td colspan=2><b>In plots and settings</b></td></tr>"
      "<tr><td>Next field, next slider</td><td>Tab</td></tr>"
      "<tr><td>Slider step</td><td>Left, Right</td></tr>"
      "<tr><td>From an input of a quantity to its setting</td><td>Enter, or double click</td></tr>"
      "<tr><td>Zoom a timeline at the pointer</td><td>wheel</td></tr>"
      "<tr><td>Zoom a timeline, move it</td><td>+ -, Left Right</td></tr>"
      "<tr><td>Whole timeline again</td><td>Home, or double click</td></tr></table>");
  QMessageBox box(QMessageBox::NoIcon, QObject::tr("Shortcuts"), text, QMessageBox::Close, &window);
  box.exec();
}

void show_about(QMainWindow& window) {
  const std::string_view version = build_info().version;
  const QString text =
      QObject::tr(
          "<h3>dtcalc %1</h3><p>What a decoder-only Transformer costs: memory, FLOPs, time, loss. The figures "
          "are those of the command line program dtcalc, from the same library.</p>"
          "<p>This program is free software under the GNU General Public License, version 3 or later, because "
          "it contains QCustomPlot. The libraries and the command line program of dtcalc are under the MIT "
          "licence.</p><p>Qt %2 (LGPL 3), QCustomPlot %3 (GPL 3 or later, Emanuel Eichhammer), "
          "nlohmann/json %4 (MIT), {fmt} %5 (MIT).</p>")
          .arg(QString::fromUtf8(version.data(), static_cast<qsizetype>(version.size())), QString::fromUtf8(qVersion()),
               QStringLiteral(QCUSTOMPLOT_VERSION_STR),
               QStringLiteral("%1.%2.%3")
                   .arg(NLOHMANN_JSON_VERSION_MAJOR)
                   .arg(NLOHMANN_JSON_VERSION_MINOR)
                   .arg(NLOHMANN_JSON_VERSION_PATCH),
               QStringLiteral("%1.%2.%3").arg(FMT_VERSION / 10000).arg(FMT_VERSION / 100 % 100).arg(FMT_VERSION % 100));
  QMessageBox::about(&window, QObject::tr("About dtcalc"), text);
}

}  // namespace dtcalc::gui
