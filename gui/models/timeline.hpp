// The rows and slices of a played step: what the timeline view draws.
#pragma once

#include <QString>
#include <vector>

#include "costmodel/schedule/simulation.hpp"

namespace dtcalc::gui {

/// What a slice shows; the order is that of the colours and of the legend.
enum class SliceKind : int { forward, backward, weight, optimizer, transfer, gather, reduce, overlapped, bubble };
QString name_of(SliceKind kind);

struct TimelineSlice {
  int row;
  double start, end;  ///< seconds
  SliceKind kind;
  int event;  ///< index into Simulation::events; -1 for a bubble
};

struct Timeline {
  std::vector<QString> rows;          ///< "0 compute", "0 send", "0 data"; streams without events have no row
  std::vector<TimelineSlice> slices;  ///< a transfer, gather or reduction is cut where the stage's passes begin and end
  double step = 0;
  double communication = 0;  ///< seconds of all transfers, gathers and reductions
  double overlapped = 0;     ///< of them, while the same stage computes
};

/// Few enough passes for the window to play the step itself, within a frame; others belong on a worker.
bool quick_to_play(const Scenario& scenario);

Timeline timeline_of(const Simulation& simulation);
/// "forward of micro-batch 3, chunk 1, stage 2: 1.2 ms from 3.4 ms".
QString describe_slice(const Simulation& simulation, const TimelineSlice& slice);

}  // namespace dtcalc::gui
