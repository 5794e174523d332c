// Where the data of the project lie: hardware/ (device profiles) and presets/ (models, scenarios, software profiles).
// The loader of presets asks, and `dtcalc doctor` prints the answer.
#pragma once

#include <filesystem>

namespace dtcalc {

/// The first of: the variable DTCALC_DATA_DIR, taken as it is; ../share/dtcalc beside the running program; the source
/// tree; the install prefix of the build. The last three count only when they hold presets. When none does, the source
/// tree: the caller's error then names a folder that a person can look for.
std::filesystem::path data_dir();

}  // namespace dtcalc
