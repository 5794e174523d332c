// What `dtcalc validate --json` says of a run: predicted beside measured, group by group. Called by the store and the
// measured view.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/report/table.hpp"

namespace dtcalc::gui {

struct MeasuredGroup {
  std::string name, phase;
  double predicted_s = 0, measured_s = 0;
  double measured_flop = 0;
};

struct Measured {
  std::string file;  ///< empty: a run of this program
  std::string model, hardware, machine, date;
  double step_predicted_s = 0, step_measured_s = 0;
  double memory_predicted_bytes = 0, memory_measured_bytes = 0;
  bool within_tolerance = false;
  std::vector<MeasuredGroup> groups;
};

/// `place` stands in front of the errors: a file, or the program that printed the text.
Result<Measured> measured_of(std::string_view text, const std::string& place);
Result<Measured> read_measured(const std::string& file);
report::Table to_table(const Measured& measured);

}  // namespace dtcalc::gui
