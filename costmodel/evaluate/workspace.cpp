#include "costmodel/evaluate/workspace.hpp"

namespace dtcalc {

Bytes cpu_workspace(const Scenario&, bool) { return Bytes(0); }

}  // namespace dtcalc
