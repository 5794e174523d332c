// Measures this machine: a hardware profile for the CPU engine. Every kernel is timed alone on data of its own, never
// as part of a training step, so a prediction made from the profile is a prediction. Called by `dtcalc measure`.
#pragma once

#include <functional>
#include <string>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

struct MeasureOptions {
  int threads = 1;
  bool quick = false;                                                  ///< a coarser grid, for tests
  std::function<void(double done, const std::string& what)> progress;  ///< done in [0, 1]
  std::function<bool()> stop;                                          ///< true: give up
};

/// The profile: rates of matrix products by shape and contract, time per element of every loop kernel by size, peak
/// rates, copy bandwidth, the cost of waking the threads, memory. Origin `calibrated`. An Error when stopped.
Result<Device> measure_cpu(const MeasureOptions& options);

}  // namespace dtcalc
