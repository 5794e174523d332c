#include "engine/cpu/attention.hpp"

#include <bit>
#include <cmath>

namespace dtcalc::cpu {

std::vector<double> alibi_slopes(std::int64_t heads) {
  const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<double> slopes;
  for (std::int64_t i = 1; i <= below; ++i) slopes.push_back(std::exp2(-8.0 * double(i) / double(below)));
  for (std::int64_t i = 1; below + (i + 1) / 2 <= heads; i += 2) {
    slopes.push_back(std::exp2(-8.0 * double(i) / double(2 * below)));
  }
  return slopes;
}

}  // namespace dtcalc::cpu
