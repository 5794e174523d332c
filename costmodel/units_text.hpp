// Units as people write them: "1.5 GiB", "300 GB/s", "312 TFLOP/s", "2 ms", "300B tokens". Used by command-line
// options, reports and explanations; JSON carries plain numbers with the unit in the key.
//
// For Bytes, Parameters, Tokens, FlopCount, Flop, Seconds, FlopPerSecond, BytesPerSecond, TokensPerSecond, FlopPerByte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"
#include "costmodel/units.hpp"

namespace dtcalc {

/// What stands before the unit. Counts of parameters and tokens are written as in the field: k, M, B (10^9), T.
/// `automatic` chooses among 1, KiB, MiB … for Bytes and among powers of 1000 for the rest (rates: GB/s); `decimal`
/// takes powers of 1000 for Bytes too. A prefix that the unit does not have (GiB of FLOPs, milli-tokens) prints as
/// `none`.
enum class Prefix : std::uint8_t {
  automatic,
  decimal,
  none,
  nano,
  micro,
  milli,
  kilo,
  mega,
  giga,
  tera,
  peta,
  exa,
  zetta,
  yotta,
  kibi,
  mebi,
  gibi,
  tebi,
  pebi
};

/// Reads a number, an optional prefix and the unit; spaces around the number are free. The value is the one nearest to
/// what is written: "2 ms" is the double 0.002, "1.3 GiB" is rounded to whole bytes. Refused: a missing, unknown or
/// other unit, a negative number, NaN and infinity, and whatever exceeds the type. The error's place is empty.
template <class Unit>
Result<Unit> parse(std::string_view text);

/// "1.5 GiB", rounded to `digits` significant digits (a count without prefix is printed in full).
template <class Unit>
std::string print(Unit quantity, Prefix prefix = Prefix::automatic, int digits = 4);

/// The shortest text that loses nothing: "24 GiB", "1610612737 B", "2 ms". `parse` of it is the very same value, bit by
/// bit, for every finite quantity that is not negative.
template <class Unit>
std::string print_exact(Unit quantity);

}  // namespace dtcalc
