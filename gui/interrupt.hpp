// Ctrl-C and the end of the user's session: the program leaves its event loop, so that the session is saved. Called by
// main.cpp.
#pragma once

namespace dtcalc::gui {

/// From now on SIGINT, SIGTERM and SIGHUP end QApplication::exec() with 128 + the signal, as a shell counts.
void quit_on_signals();

}  // namespace dtcalc::gui
