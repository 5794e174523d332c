// The session file: the whole state, saved after changes and read back at the next start. Called by main.cpp and the
// window.
#pragma once

#include <QString>

#include "gui/models/store.hpp"

namespace dtcalc::gui {

/// In the user's data folder.
QString session_file();

/// Whole or not at all.
std::vector<Error> save_session(const State& state, const QString& file);
Result<State> load_session(const QString& file);

/// From now on writes the state once changes have paused for so long: a program that is killed loses no more than that.
void save_changes(Store& store, const QString& file, int pause_ms = 1000);

}  // namespace dtcalc::gui
