// Words for phases and bounds, as every report prints them.
#pragma once

#include <array>
#include <string_view>

#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc::report {

inline std::string_view name_of_phase(Phase phase) {
  static constexpr std::array<std::string_view, 4> names{"forward", "recompute", "backward", "optimizer"};
  return names.at(static_cast<std::size_t>(phase));
}

inline std::string_view name_of_bound(Bound bound) {
  static constexpr std::array<std::string_view, 4> names{"compute", "memory", "measured", "communication"};
  return names.at(static_cast<std::size_t>(bound));
}

}  // namespace dtcalc::report
