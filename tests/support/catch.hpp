// The one way in which tests include Catch2: the same source compiles with version 2 (Debian 12) and version 3
// (Ubuntu 24.04).
//
// After it, both versions know TEST_CASE, SECTION, GENERATE, REQUIRE, `Approx`, `Catch::Matchers::WithinAbs`,
// `WithinRel` and `Catch::Matchers::ContainsSubstring`.
//
// Tags that tests/CMakeLists.txt turns into CTest properties:
//   [long]    only in `./dev test --all`
//   [slow]    too slow for the sanitizer build; runs in every other tier
//   [alone]   measures time or memory: no other test runs beside it
//   [.]       hidden: never run by CTest
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
inline StdString::ContainsMatcher ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers
#endif

#include <cstdio>

/// Leaves the test; CTest counts it as skipped, not as passed. For what this machine lacks (a device, DTCALC_DATA).
#define DTCALC_SKIP(reason)                 \
  do {                                      \
    std::printf("\nskipped: %s\n", reason); \
    SUCCEED("skipped");                     \
    return;                                 \
  } while (false)
