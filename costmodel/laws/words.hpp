// Figures of laws as people write them: 1.4T tokens, 5.76e23 FLOP, 12.3 d. Used by the reports of this folder.
#pragma once

#include <string>

#include "costmodel/units.hpp"

namespace dtcalc::laws {

/// Four significant digits with k, M, B (10^9) or T; powers of ten from 10^18 on and below 1.
std::string count_text(double value);
/// The same, but in full below a million: batches and devices.
std::string whole_text(double value);
/// "5.76e23 FLOP"
std::string flop_text(Flop flop);
/// Seconds, minutes, hours, days or years, four significant digits.
std::string duration_text(Seconds time);

}  // namespace dtcalc::laws
