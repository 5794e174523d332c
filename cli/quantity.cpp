#include "cli/quantity.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string_view>

#include "costmodel/units_text.hpp"

namespace dtcalc::cli {
namespace {

template <class Unit>
constexpr std::string_view symbol = "";
template <>
constexpr std::string_view symbol<Parameters> = "parameters";
template <>
constexpr std::string_view symbol<Tokens> = "tokens";
template <>
constexpr std::string_view symbol<Flop> = "FLOP";
template <>
constexpr std::string_view symbol<FlopPerSecond> = "FLOP/s";
template <>
constexpr std::string_view symbol<Seconds> = "s";

}  // namespace

template <class Unit>
Result<Unit> positive(const std::string& option, const std::string& text) {
  Result<Unit> result = parse<Unit>(text);
  if (!result) {
    Result<Unit> with_unit = parse<Unit>(text + " " + std::string(symbol<Unit>));
    // Of a bare number, what is wrong is not that its unit is missing.
    if (with_unit || positive_number(option, text)) result = std::move(with_unit);
  }
  if (result && !(result->value() > 0)) return Error{option, text, "is not above 0", "give a positive amount"};
  if (result) return result;
  Error error = result.errors().front();
  error.place = option;
  return error;
}

template Result<Parameters> positive(const std::string&, const std::string&);
template Result<Tokens> positive(const std::string&, const std::string&);
template Result<Flop> positive(const std::string&, const std::string&);
template Result<FlopPerSecond> positive(const std::string&, const std::string&);
template Result<Seconds> positive(const std::string&, const std::string&);

Result<double> positive_number(const std::string& option, const std::string& text, double most) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec == std::errc::result_out_of_range)
    return Error{option, text, "is out of range", "write a number that a double holds"};
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(value))
    return Error{option, text, "is not a number", "write it in digits, without a unit"};
  if (!(value > 0)) return Error{option, text, "is not above 0", "give a positive number"};
  if (value > most)
    return Error{option, text, fmt::format("is above {:g}", most), fmt::format("give at most {:g}", most)};
  return value;
}

}  // namespace dtcalc::cli
