#include "costmodel/laws/words.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "costmodel/units_text.hpp"

namespace dtcalc::laws {
namespace {

/// "5.76e23": without the plus sign and leading zeros of printf's exponent.
std::string short_number(double value) {
  std::string text = fmt::format("{:.4g}", value);
  if (const std::size_t plus = text.find("e+"); plus != std::string::npos) text.erase(plus + 1, 1);
  return text;
}

}  // namespace

std::string count_text(double value) {
  struct Scale {
    double one;
    const char* letter;
  };
  static constexpr std::array<Scale, 5> scales{{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}, {1, ""}}};
  const double largest = 1e18;
  if (std::abs(value) < largest)
    for (const Scale& scale : scales)
      // Half of a fourth digit below the prefix rounds up to it: 999,960 is 1M.
      if (std::abs(value) >= 0.99995 * scale.one) {
        const double scaled = value / scale.one;
        return fmt::format("{}{}",
                           std::abs(scaled) < 1e4 ? fmt::format("{:.4g}", scaled) : fmt::format("{:.0f}", scaled),
                           scale.letter);
      }
  return short_number(value);
}

std::string whole_text(double value) {
  if (value >= 1e6) return count_text(value);
  return value == std::floor(value) || value >= 1e3 ? fmt::format("{:.0f}", value) : short_number(value);
}

std::string flop_text(Flop flop) { return short_number(flop.value()) + " FLOP"; }

std::string duration_text(Seconds time) {
  constexpr double minute = 60, hour = 3600, day = 86400, year = 365.25 * day;
  const double s = time.value();
  if (s < 2 * minute) return print(time);
  if (s < 2 * hour) return fmt::format("{:.4g} min", s / minute);
  if (s < 2 * day) return fmt::format("{:.4g} h", s / hour);
  if (s < 2 * year) return fmt::format("{:.4g} d", s / day);
  return count_text(s / year) + " years";
}

}  // namespace dtcalc::laws
