// The window: scenario panel on the left, views in tabs on the right, menus around them. Made by main.cpp and by tests.
#pragma once

#include <QMainWindow>
#include <vector>

#include "gui/models/store.hpp"

class QLabel;
class QStackedWidget;
class QTabBar;

namespace dtcalc::gui {

class Cards;
class ScenarioPanel;
class View;

class MainWindow : public QMainWindow {
 public:
  explicit MainWindow(Store& store);

  View& present_view();
  ScenarioPanel& panel() { return *panel_; }
  /// Opens a scenario or a model; what is wrong with it is said in the window.
  void open(const QString& file);
  /// Writes what `format` (png, svg, pdf, csv, json) says of the present view, or all views into a folder.
  void export_view(const QString& file);
  /// Shows what went wrong until the next change; nothing hides the line.
  void say(const Store::Errors& errors);

 protected:
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;

 private:
  void build_menus();
  void build_views();
  void show_view();
  void show_theme();
  void refresh();
  void say(const QString& message);
  View& view_at(int index);

  Store& store_;
  ScenarioPanel* panel_;
  Cards* summary_;
  QLabel* message_;
  QTabBar* tabs_;
  QStackedWidget* stack_;
  std::vector<View*> views_;
  struct Actions {
    QAction *undo, *redo, *revert, *pin, *unpin, *dark;
  } actions_{};
};

}  // namespace dtcalc::gui
