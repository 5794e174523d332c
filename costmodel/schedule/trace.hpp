// A simulation as a trace in Chrome's JSON format, which ui.perfetto.dev and chrome://tracing open. Called by
// `dtcalc simulate --trace`.
#pragma once

#include <string>

#include "costmodel/schedule/simulation.hpp"

namespace dtcalc::report {

/// A process per stage, a thread per stream, a slice per event (times in microseconds), an arrow from each transfer to
/// the pass that waits for it, and the stage's memory as a counter.
std::string trace(const Simulation& simulation);

}  // namespace dtcalc::report
