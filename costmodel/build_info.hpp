// What this build is made of. `dtcalc --version`, `dtcalc doctor`, calibrated profiles and benchmark results print it.
#pragma once

#include <string_view>

namespace dtcalc {

struct BuildInfo {
  std::string_view version;       ///< of the project, "0.1.0"
  std::string_view commit;        ///< abbreviated, "-dirty" when sources were edited; "unknown" outside a git checkout
  std::string_view compiler;      ///< "GNU 12.2.0"
  std::string_view build_type;    ///< "Release"
  std::string_view sanitizers;    ///< "address,undefined" or empty
  std::string_view cuda_toolkit;  ///< version found when configuring; empty: none, or switched off
  std::string_view qt;            ///< version found when configuring; empty: none, or switched off
  std::string_view source_data;   ///< source tree, which holds hardware/ and presets/
  std::string_view installed_data;  ///< where `cmake --install` puts them by default
};

BuildInfo build_info();

}  // namespace dtcalc
