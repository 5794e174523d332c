// `dtcalc validate --published`: predictions beside published measurements. Called by validate.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/common.hpp"

namespace dtcalc::cli {

/// Predicts every row of the families named (all when none is), by name or file. `common` changes every row: --set,
/// --hardware, --software; a scenario or model has no place here. With `tolerance`, exit code 1 when a family's mean
/// absolute error exceeds it.
int validate_published(const std::vector<std::string>& families, const CommonOptions& common,
                       std::optional<double> tolerance);

/// Fits the named constants of the one software profile that the families share, and prints what they leave.
int fit_published(const std::vector<std::string>& families, const std::vector<std::string>& constants,
                  const OutputOptions& output);

}  // namespace dtcalc::cli
