// How strongly a scenario's times and memory follow each figure of its hardware. Called by compare.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// What follows the hardware: of training the step, of serving TTFT and TPOT; the memory of what the scenario runs.
enum class Followed : unsigned char { step, prefill, decode, memory };
std::string_view name_of_followed(Followed figure);

/// d ln(figure) / d ln(hardware's figure): -1 means that twice the one halves the other, 0 that it does not matter. By
/// a central difference of one percent. Calibrated kernels do not follow the datasheet's figures.
struct Sensitivity {
  Followed figure = Followed::step;
  std::string key;  ///< "/hardware/memory_bandwidth_bytes_per_s"
  double slope = 0;
};

/// Those that are not 0, figure by figure, the strongest first.
std::vector<Sensitivity> sensitivities(const Scenario& scenario);

/// Lines for people, `name` in front.
std::string sensitivity_text(std::string_view name, const std::vector<Sensitivity>& list, int columns);

}  // namespace dtcalc::report
