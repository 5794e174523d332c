// Prints the version, a quantity that went through the library, and the folder of the data.
#include <cstdio>
#include <string>

#include "costmodel/build_info.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/units_text.hpp"

int main() {
  const auto memory = dtcalc::parse<dtcalc::Bytes>("1.5 GiB");
  if (!memory) return 1;
  std::printf("dtcalc %s, %s, %s\n", std::string(dtcalc::build_info().version).c_str(), dtcalc::print(*memory).c_str(),
              dtcalc::data_dir().c_str());
}
