// A published table as a family of measured rows: citation, conventions, the scenario that all rows share, and per row
// what differs and what was measured. One JSON file each in presets/published/ (docs/published.md).
//
// `dtcalc validate --published`, `dtcalc presets published` and the tests load families.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/published/figures.hpp"
#include "costmodel/scenario/presets.hpp"

namespace dtcalc::published {

struct Citation {
  std::string authors, title;
  std::string place;  ///< table or figure
  std::string url, date;
};

struct Measured {
  Figure figure = Figure::step;
  double value = 0;  ///< SI units
};

struct Row {
  std::string id;
  std::string trust;  ///< A primary text, B image or third party, C secondary or ambiguous, D suspicious
  std::string note;
  std::vector<std::string> set;  ///< overrides of the shared scenario, `/training/micro_batch=4`
  std::vector<Measured> measured;
};

/// How far off a figure may be: mean absolute relative error.
struct Goal {
  Figure figure = Figure::step;
  double error = 0;
};

struct Family {
  std::string name;  ///< its file's
  std::string title;
  Citation citation;
  std::vector<std::string> conventions;  ///< what the printed figures count
  std::vector<std::string> assumptions;  ///< what the source leaves out
  FlopConvention flop = FlopConvention::none;
  std::vector<Goal> goals;
  std::string scenario;  ///< JSON: the part that rows share
  std::vector<Row> rows;
  std::filesystem::path file;
};

/// A family by its name or the path of its file. All errors of a file at once, each with its JSON pointer.
Result<Family> load_family(const std::string& name_or_path, const Folders& folders);

/// The families named, or all of the data folder when none is.
Result<std::vector<Family>> load_families(const std::vector<std::string>& names, const Folders& folders);

}  // namespace dtcalc::published
