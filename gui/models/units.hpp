// Figures as the window shows them, in the user's locale; files are written by the library, in the C locale.
#pragma once

#include <QString>

namespace dtcalc::gui {

enum class Unit : unsigned char { bytes, seconds, flop_per_s, flop, flop_per_byte, tokens_per_s, count, share };

/// Three significant digits: "3.2 GiB", "1.25 s", "51.0 %".
QString text_of(Unit unit, double value);
/// A difference in percent, without the sign of percent: 12.3, -99.0, 2.73e+10.
QString percent_text(double percent);

}  // namespace dtcalc::gui
