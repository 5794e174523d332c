// The sheets of the Help menu. Called by the window.
#pragma once

class QMainWindow;

namespace dtcalc::gui {

/// Every action of the menus with its keys.
void show_shortcuts(QMainWindow& window);
/// Versions and licences.
void show_about(QMainWindow& window);

}  // namespace dtcalc::gui
