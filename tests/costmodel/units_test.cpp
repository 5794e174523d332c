#include "costmodel/units.hpp"

#include "support/catch.hpp"

using namespace dtcalc;

TEST_CASE("GiB and GB are different words", "[units]") {
  CHECK(1_GiB == 1024_MiB);
  CHECK((1_GiB).value() == 1073741824);
  CHECK((1_GB).value() == 1000000000);
}
