// The sheet of keys and About.
#include <QAction>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <QTimer>

#include "costmodel/build_info.hpp"
#include "support/catch.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui::test;

namespace {

/// The text of the box that the action opens; the box is closed again.
QString text_of_box(Shown& shown, const QString& name) {
  QString text;
  QTimer::singleShot(50, &shown.window, [&text] {
    if (auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget())) {
      text = box->text();
      box->close();
    }
  });
  for (QAction* action : shown.window.findChildren<QAction*>())
    if (QString(action->text()).remove('&') == name) action->trigger();
  return text;
}

}  // namespace

TEST_CASE("the sheet of keys has every action with its key") {
  Shown shown;
  const QString sheet = text_of_box(shown, "Shortcuts");
  std::size_t actions = 0;
  for (const QAction* menu : shown.window.menuBar()->actions())
    for (const QAction* action : menu->menu()->actions()) {
      if (action->isSeparator()) continue;
      CAPTURE(action->text().toStdString());
      CHECK_FALSE(action->shortcut().isEmpty());
      CHECK(sheet.contains(QString(action->text()).remove('&')));
      CHECK(sheet.contains(action->shortcut().toString(QKeySequence::NativeText)));
      ++actions;
    }
  CHECK(actions >= 25);
}

TEST_CASE("About says the versions and the licences of what the program is made of") {
  Shown shown;
  const QString about = text_of_box(shown, "About dtcalc");
  const std::string_view version = build_info().version;
  CHECK(about.contains(QString::fromUtf8(version.data(), static_cast<qsizetype>(version.size()))));
  for (const char* part :
       {"GNU General Public License", "MIT", "LGPL 3", "QCustomPlot 2.", "Qt 6.", "nlohmann/json 3.", "{fmt} "})
    CHECK(about.contains(part));
}
