#include "costmodel/data_dir.hpp"

#include <cstdlib>
#include <filesystem>

#include "costmodel/build_info.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

TEST_CASE("the variable DTCALC_DATA_DIR wins over every other data folder", "[data_dir]") {
  REQUIRE(setenv("DTCALC_DATA_DIR", "/nowhere/data", 1) == 0);
  CHECK(data_dir() == "/nowhere/data");
  REQUIRE(unsetenv("DTCALC_DATA_DIR") == 0);
  CHECK(data_dir() == build_info().source_data);
}

TEST_CASE("a build knows its version, compiler and commit", "[build_info]") {
  const BuildInfo info = build_info();
  CHECK(info.version == "0.1.0");
  CHECK(!info.compiler.empty());
  CHECK(!info.commit.empty());
  CHECK(std::filesystem::exists(std::filesystem::path(info.source_data) / "costmodel/build_info.hpp"));
}
