#include "costmodel/units.hpp"

#include <type_traits>

#include "support/catch.hpp"

using namespace dtcalc;

namespace {

// What does not compile stands in tests/costmodel/units_refused.cpp; what follows holds when this file compiles.
static_assert(1_GiB == 1024_MiB && 1_TiB == 1024_GiB && 1_MiB == 1024_KiB && 1_KiB == 1024_B);
static_assert(1_TB == 1000_GB && 1_GB == 1000_MB && 1_MB == 1000_kB && 1_kB == 1000_B);
static_assert(1_GiB - 1_GB == Bytes(73'741'824));
static_assert(9'223'372'036'854'775'807_B == Bytes(INT64_MAX));
static_assert(1_s == 1000_ms && 1.5_ms == 1500_us && 0.25_s == 250_ms);

static_assert(std::is_same_v<decltype(1_GB / 2_s), BytesPerSecond>);
static_assert(std::is_same_v<decltype(Flop(1) / 2_s), FlopPerSecond>);
static_assert(std::is_same_v<decltype(Tokens(1) / 2_s), TokensPerSecond>);
static_assert(std::is_same_v<decltype(1_GB / BytesPerSecond(1e9)), Seconds>);
static_assert(std::is_same_v<decltype(FlopCount(6) / 2_B), FlopPerByte>);
static_assert(std::is_same_v<decltype(1_GB / 1_MB), double>);
static_assert(std::is_same_v<decltype(1_s / 1_s), double>);
static_assert(std::is_same_v<decltype(2 * 1_GB), Bytes>);

static_assert(!std::is_convertible_v<double, Bytes> && !std::is_convertible_v<std::int64_t, Bytes>);
static_assert(!std::is_constructible_v<Bytes, double> && !std::is_constructible_v<Bytes, bool>);
static_assert(!std::is_constructible_v<Bytes, Parameters> && !std::is_constructible_v<Flop, FlopCount>);
static_assert(std::is_constructible_v<Seconds, int> && std::is_constructible_v<Bytes, std::size_t>);
static_assert(sizeof(Bytes) == 8 && std::is_trivially_copyable_v<Bytes>);

}  // namespace

TEST_CASE("amounts, times and rates convert into one another", "[units]") {
  CHECK((300_GB / 2_s) == BytesPerSecond(150e9));
  CHECK((300_GB / BytesPerSecond(150e9)) == 2_s);
  CHECK((BytesPerSecond(150e9) * 2_s).value() == 300e9);
  CHECK((2_s * FlopPerSecond(1e12)) == Flop(2e12));
  CHECK(total(FlopCount(7)) == Flop(7.0));
}

TEST_CASE("the ridge of a roofline is its rate over its bandwidth", "[units]") {
  // A100 80 GB SXM: 312 TFLOP/s in bf16, 2039 GB/s.
  const FlopPerByte ridge = FlopPerSecond(312e12) / BytesPerSecond(2039e9);
  CHECK(ridge.value() == Approx(153.016));
  CHECK((ridge * BytesPerSecond(2039e9)).value() == Approx(312e12));
  CHECK((FlopCount(600) / 200_B).value() == 3);
}

TEST_CASE("exact counts stay exact beyond the integers of a double", "[units]") {
  const Bytes odd{(std::int64_t{1} << 53) + 1};
  CHECK((odd * 2).value() == 18014398509481986);
  CHECK((odd + 1_B).value() == 9007199254740994);
  CHECK(7_B / 2 == 3_B);
  Bytes sum;
  sum += odd;
  sum -= 1_B;
  CHECK(sum < odd);
  CHECK(sum >= sum);
}
