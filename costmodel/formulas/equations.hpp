// Every equation of the notes with what stands for it: functions of this folder, or the reason that there is none.
// Called by `dtcalc explain --list`.
#pragma once

#include <string>
#include <vector>

namespace dtcalc::formulas {

struct Equation {
  std::string number;                  ///< "3.7", "footnote 38"
  std::vector<std::string> functions;  ///< empty: it is a derivation only
  std::string remark;                  ///< why there is no function, or why no formula that `explain` could print
};

/// The rows of the registry by equation, and those equations that the registry cannot hold; by number.
std::vector<Equation> equations();

}  // namespace dtcalc::formulas
