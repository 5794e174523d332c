#include "costmodel/units_text.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "support/catch.hpp"

using namespace dtcalc;

namespace {

/// The value as parsed; the test fails with the error's text when there is none.
template <class Unit>
Unit parsed(std::string_view text) {
  const Result<Unit> result = parse<Unit>(text);
  INFO(describe(result.errors()));
  REQUIRE(result);
  return *result;
}

template <class Unit>
std::string refusal(std::string_view text) {
  const Result<Unit> result = parse<Unit>(text);
  return result ? "accepted" : describe(result.errors());
}

template <class Unit>
void check_round_trip(Unit quantity) {
  const std::string text = print_exact(quantity);
  INFO(text);
  const Unit again = parsed<Unit>(text);
  const auto before = quantity.value(), after = again.value();
  CHECK(std::memcmp(&before, &after, sizeof before) == 0);
}

}  // namespace

TEST_CASE("units are read as people write them", "[units]") {
  CHECK(parsed<Bytes>("1.5 GiB").value() == 1610612736);
  CHECK(parsed<Bytes>("80GB") == 80_GB);
  CHECK(parsed<Bytes>("  143771 MiB ") == 143771_MiB);
  CHECK(parsed<Bytes>("0 B") == 0_B);
  CHECK(parsed<Bytes>("1e3 kB") == 1_MB);
  CHECK(parsed<Bytes>("1EB").value() == 1'000'000'000'000'000'000);
  CHECK(parsed<BytesPerSecond>("300 GB/s") == BytesPerSecond(300e9));
  CHECK(parsed<BytesPerSecond>("1 GiB/s") == BytesPerSecond(1073741824));
  CHECK(parsed<FlopPerSecond>("312 TFLOP/s") == FlopPerSecond(312e12));
  CHECK(parsed<Flop>("3.14e23 FLOP") == Flop(3.14e23));
  CHECK(parsed<Seconds>("2 ms") == Seconds(0.002));
  CHECK(parsed<Seconds>("0.3 us") == Seconds(0.3e-6));
  CHECK(parsed<Seconds>("90 min") == Seconds(5400));
  CHECK(parsed<Seconds>("3 d") == Seconds(259200));
  CHECK(parsed<Tokens>("300B tokens").value() == 300'000'000'000);
  CHECK(parsed<Tokens>("2 tokens").value() == 2);
  CHECK(parsed<Parameters>("6.7 B parameters").value() == 6'700'000'000);
  CHECK(parsed<FlopPerByte>("153 FLOP/B").value() == 153);
}

TEST_CASE("the nearest value is taken, rounded once", "[units]") {
  CHECK(parsed<Bytes>("1.3 GiB").value() == 1395864371);  // 1395864371.2
  CHECK(parsed<Bytes>("1.7 KiB").value() == 1741);        // 1740.8
  CHECK(parsed<Bytes>("9223372036854775807 B").value() == std::numeric_limits<std::int64_t>::max());
  CHECK(parsed<Bytes>("9007199254740993 B").value() == 9007199254740993);  // no double in between
  CHECK(parsed<Seconds>("0.1 ms").value() == 0.1e-3);
  CHECK(parsed<FlopPerSecond>("989.4 TFLOP/s").value() == 989.4e12);
}

TEST_CASE("what is no quantity of the unit is refused with a reason and a way out", "[units]") {
  CHECK(refusal<Bytes>("1.5 GFLOP") ==
        "\"1.5 GFLOP\" has an unknown unit (GFLOP); write a number and a unit, such as 1.5 GiB");
  CHECK(refusal<Bytes>("16") == "\"16\" has no unit; write a number and a unit, such as 1.5 GiB");
  CHECK(refusal<Bytes>("").find("does not start with a number") != std::string::npos);
  CHECK(refusal<Bytes>("GiB").find("does not start with a number") != std::string::npos);
  CHECK(refusal<Bytes>("-1 GiB").find("is negative") != std::string::npos);
  CHECK(refusal<Bytes>("9 EiB").find("unknown unit (EiB)") != std::string::npos);
  CHECK(refusal<Bytes>("9.3 EB").find("out of range") != std::string::npos);
  CHECK(refusal<Bytes>("9223372036854775808 B").find("out of range") != std::string::npos);
  CHECK(refusal<Bytes>("1e999999999999999999999 B").find("out of range") != std::string::npos);
  CHECK(refusal<Seconds>("1e400 s").find("out of range") != std::string::npos);
  CHECK(refusal<Seconds>("nan s").find("does not start with a number") != std::string::npos);
  CHECK(refusal<Seconds>("inf").find("does not start with a number") != std::string::npos);
  CHECK(refusal<Seconds>("2 ms ms").find("unknown unit (ms ms)") != std::string::npos);
  CHECK(refusal<BytesPerSecond>("300 GB").find("unknown unit (GB)") != std::string::npos);
  CHECK(refusal<FlopPerSecond>("1 GiFLOP/s").find("unknown unit") != std::string::npos);
  CHECK(refusal<Tokens>("5 mtokens").find("unknown unit") != std::string::npos);
  CHECK(refusal<Bytes>("1,5 GiB").find("unknown unit (,5 GiB)") != std::string::npos);
}

TEST_CASE("printing picks a prefix or takes the one asked for", "[units]") {
  CHECK(print(1536_MiB) == "1.5 GiB");
  CHECK(print(80_GB) == "74.51 GiB");
  CHECK(print(80_GB, Prefix::decimal) == "80 GB");
  CHECK(print(80_GB, Prefix::mebi, 7) == "76293.95 MiB");
  CHECK(print(80_GB, Prefix::none) == "80000000000 B");
  CHECK(print(1_GiB - 1_B, Prefix::automatic, 4) == "1 GiB");
  CHECK(print(0_B) == "0 B");
  CHECK(print(1023_B) == "1023 B");
  CHECK(print(BytesPerSecond(2.039e12)) == "2.039 TB/s");
  CHECK(print(BytesPerSecond(2.039e12), Prefix::decimal) == "2.039 TB/s");
  CHECK(print(FlopPerSecond(999.96e12)) == "1 PFLOP/s");
  CHECK(print(Flop(3.14e23)) == "314 ZFLOP");
  CHECK(print(Seconds(0.0021234)) == "2.123 ms");
  CHECK(print(Seconds(123456.0), Prefix::automatic, 6) == "123456 s");
  CHECK(print(Seconds(1e-12)) == "0.001 ns");
  CHECK(print(Parameters(6738415616)) == "6.738B parameters");
  CHECK(print(Parameters(6738415616), Prefix::none) == "6738415616 parameters");
  CHECK(print(Tokens(999)) == "999 tokens");
  CHECK(print(Tokens(999), Prefix::gibi) == "999 tokens");
  CHECK(print(FlopPerByte(153.016)) == "153 FLOP/B");
}

TEST_CASE("exact text is short when it can be and reads back to the same bits", "[units]") {
  CHECK(print_exact(24_GiB) == "24 GiB");
  CHECK(print_exact(1536_MiB) == "1.5 GiB");
  CHECK(print_exact(80_GB) == "80 GB");
  CHECK(print_exact(1_GiB + 1_B) == "1073741825 B");
  CHECK(print_exact(Seconds(0.002)) == "2 ms");
  CHECK(print_exact(FlopPerSecond(312e12)) == "312 TFLOP/s");
  CHECK(print_exact(Parameters(6738415616)) == "6738415616 parameters");

  for (const Bytes bytes : {0_B, 1_B, 143771_MiB, Bytes(std::numeric_limits<std::int64_t>::max())}) {
    check_round_trip(bytes);
  }
  for (const double value : {0.0, 0.1, 1.0 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 1e23}) {
    check_round_trip(Seconds(value));
    check_round_trip(BytesPerSecond(value));
    check_round_trip(FlopPerByte(value));
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto integer = static_cast<std::int64_t>(random() >> (1 + random() % 63));
    check_round_trip(Bytes(integer));
    check_round_trip(Parameters(integer));
    check_round_trip(FlopCount(integer));
    const double value = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 200) - 150);
    check_round_trip(Seconds(value));
    check_round_trip(Flop(value));
    check_round_trip(TokensPerSecond(value));
  }
}
