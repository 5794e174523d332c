#include <cstdio>

#include "costmodel/build_info.hpp"
#include "costmodel/units_text.hpp"

int main() {
  const auto memory = dtcalc::parse<dtcalc::Bytes>("1.5 GiB");
  if (!memory) return 1;
  std::printf("dtcalc %s: %s\n", std::string(dtcalc::build_info().version).c_str(), dtcalc::print(*memory).c_str());
}
