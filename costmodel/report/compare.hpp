// Two scenarios side by side: which terms of memory and time differ, by how much, in order of effect; and how strongly
// each follows the figures of its hardware (sensitivity.hpp). Called by `dtcalc compare`.
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

nlohmann::ordered_json to_json(const Comparison& comparison);
/// `columns`: of the lists of keys and sensitivities; tables take what they need.
std::string to_text(const Comparison& comparison, int columns);

}  // namespace dtcalc::report
