// Predict, run, compare: one configuration, group by group. Called by `dtcalc validate`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/evaluate/evaluate.hpp"
#include "engine/device.hpp"

namespace dtcalc {

struct ValidateOptions {
  DeviceChoice device;
  int threads = 1;  ///< of the CPU backend
  int warmup_steps = 2;
  int steps = 5;  ///< at least; more until `least_seconds` have passed
  double least_seconds = 3;
  std::function<void(double done)> progress;
  std::function<bool()> stop;
};

/// One group of kernels, all its repetitions in a step. Segments that differ only in being the first layer are joined.
struct GroupComparison {
  std::string name;
  std::string phase;
  double predicted_s = 0, measured_s = 0;        ///< measured: median over the steps
  double predicted_flop = 0, measured_flop = 0;  ///< executed; measured where the arithmetic is called
  double predicted_bytes = 0;                    ///< read and written by its kernels, each operand once
};

struct Validation {
  Totals predicted;
  std::int64_t parameters = 0;  ///< counted in the engine's inventory
  double step_s = 0;            ///< median, clock around the whole step
  double fastest_s = 0, slowest_s = 0;
  double outside_s = 0;  ///< median of a step's time that no group's clock saw
  int steps = 0;
  double measured_flop = 0;    ///< of one step
  Bytes arena_touched{0};      ///< up to the last byte without poison
  Bytes process{0};            ///< resident memory of the process at its peak
  Bytes library_predicted{0};  ///< what the profile says the process takes beside the arena
  std::vector<GroupComparison> groups;

  double step_error() const;   ///< (predicted - measured) / measured
  double group_error() const;  ///< sum of |predicted - measured| over the groups / measured step
  bool exact() const;          ///< parameters, FLOPs and arena agree to the last one
  /// The names of the `count` groups that contribute most to group_error.
  std::vector<std::string> worst(std::size_t count) const;
};

/// Runs training steps on random tokens on the device and sets them beside the prediction for `scenario.hardware`.
/// Errors: those of make_engine, a stop.
Result<Validation> validate(const Scenario& scenario, const ValidateOptions& options);

}  // namespace dtcalc
