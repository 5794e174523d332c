// Two scenarios side by side: which terms of memory and time differ, by how much, in order of effect; and how strongly
// one scenario's step follows each figure of the hardware. Called by `dtcalc compare`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/report/estimate.hpp"

namespace dtcalc::report {

/// One figure of two estimates, under its key of the JSON contract.
struct Difference {
  std::string key;
  double a = 0, b = 0;
  double share = 0;  ///< (b - a) over a's total of the same kind (step, memory, …), which orders them
};

struct Comparison {
  Estimate a, b;
  std::vector<std::string> keys;                ///< scenario keys whose values differ
  std::vector<Difference> time, memory, other;  ///< those that differ, largest share first
};

Comparison compare(const Estimate& a, const Estimate& b);

/// d ln(step) / d ln(figure): -1 means that twice the figure halves the step, 0 that it does not matter. By a central
/// difference of one percent. Calibrated kernels do not follow the datasheet's figures.
struct Sensitivity {
  std::string key;  ///< "/hardware/memory_bandwidth_bytes_per_s"
  double step = 0;
};
std::vector<Sensitivity> sensitivities(const Scenario& scenario);

nlohmann::ordered_json to_json(const Comparison& comparison);
std::string to_text(const Comparison& comparison);

}  // namespace dtcalc::report
