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
  /// Writes the present view as its file's ending says: png, svg, pdf, csv, json.
  void export_view(const QString& file);
  /// Every view as PNG, SVG, PDF and CSV, and the estimate as JSON, into a folder.
  void export_all(const QString& folder);
  /// Until the present view's slow work is done and everything is laid out and painted.
  void settle();
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
