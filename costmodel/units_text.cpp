#include "costmodel/units_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>

namespace dtcalc {
namespace {

// "9223372036854775807 B" must survive on its way to an integer.
static_assert(std::numeric_limits<long double>::digits >= 64, "exact counts need a long double of 64 bits");

/// A prefix is a power of ten or of two.
struct Scale {
  Prefix prefix;
  std::string_view letters;
  int ten = 0;
  int two = 0;
};

constexpr Scale plain{Prefix::none, ""};
// Ascending, the plain unit among them.
constexpr Scale decimal_scales[] = {plain,
                                    {Prefix::kilo, "k", 3},
                                    {Prefix::mega, "M", 6},
                                    {Prefix::giga, "G", 9},
                                    {Prefix::tera, "T", 12},
                                    {Prefix::peta, "P", 15},
                                    {Prefix::exa, "E", 18},
                                    {Prefix::zetta, "Z", 21},
                                    {Prefix::yotta, "Y", 24}};
constexpr Scale binary_scales[] = {plain,
                                   {Prefix::kibi, "Ki", 0, 10},
                                   {Prefix::mebi, "Mi", 0, 20},
                                   {Prefix::gibi, "Gi", 0, 30},
                                   {Prefix::tebi, "Ti", 0, 40},
                                   {Prefix::pebi, "Pi", 0, 50}};
constexpr Scale count_scales[] = {
    plain, {Prefix::kilo, "k ", 3}, {Prefix::mega, "M ", 6}, {Prefix::giga, "B ", 9}, {Prefix::tera, "T ", 12}};
constexpr Scale time_scales[] = {{Prefix::nano, "n", -9}, {Prefix::micro, "u", -6}, {Prefix::milli, "m", -3}, plain};
constexpr Scale no_scales[] = {plain};

/// How a unit is written: its symbol and the scales it takes; `automatic` is the family that printing prefers.
struct Form {
  std::string_view symbol;
  std::span<const Scale> automatic;
  std::span<const Scale> other = {};
  std::string_view example;
};

template <class Unit>
constexpr Form form_of = {};
template <>
constexpr Form form_of<Bytes> = {"B", binary_scales, decimal_scales, "1.5 GiB"};
template <>
constexpr Form form_of<BytesPerSecond> = {"B/s", decimal_scales, binary_scales, "300 GB/s"};
template <>
constexpr Form form_of<FlopCount> = {"FLOP", decimal_scales, {}, "2 GFLOP"};
template <>
constexpr Form form_of<Flop> = {"FLOP", decimal_scales, {}, "2 GFLOP"};
template <>
constexpr Form form_of<FlopPerSecond> = {"FLOP/s", decimal_scales, {}, "312 TFLOP/s"};
template <>
constexpr Form form_of<FlopPerByte> = {"FLOP/B", no_scales, {}, "153 FLOP/B"};
template <>
constexpr Form form_of<Parameters> = {"parameters", count_scales, {}, "7B parameters"};
template <>
constexpr Form form_of<Tokens> = {"tokens", count_scales, {}, "300B tokens"};
template <>
constexpr Form form_of<TokensPerSecond> = {"tokens/s", count_scales, {}, "2.5k tokens/s"};
template <>
constexpr Form form_of<Seconds> = {"s", time_scales, {}, "2 ms"};

/// Longer times, for reading only: "90 min", "3 d".
struct LongTime {
  std::string_view text;
  double seconds;
};
constexpr LongTime long_times[] = {{"min", 60}, {"h", 3600}, {"d", 86400}};

std::string spelling(const Form& form, const Scale& scale) { return fmt::format("{}{}", scale.letters, form.symbol); }

/// Between number and unit: "1.5 GiB", but "300B tokens".
std::string join(std::string_view number, const Form& form, const Scale& scale) {
  const bool attached = scale.letters.ends_with(' ');
  return fmt::format("{}{}{}", number, attached ? "" : " ", spelling(form, scale));
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Length of the leading decimal number (digits, point, exponent), 0 if there is none. The exponent counts only when
/// digits follow, so that "3 EB" and "3EB" keep their prefix.
std::size_t number_length(std::string_view text) {
  const auto digits = [&](std::size_t at) {
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at;
  };
  std::size_t end = digits(0);
  std::size_t count = end;
  if (end < text.size() && text[end] == '.') {
    const std::size_t after = digits(end + 1);
    count += after - end - 1;
    end = after;
  }
  if (count == 0) return 0;
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const std::size_t sign = end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-') ? 1 : 0;
    const std::size_t after = digits(end + 1 + sign);
    if (after > end + 1 + sign) end = after;
  }
  return end;
}

/// The value nearest to number * 10^ten * 2^two; nothing when it exceeds Real. The power of ten goes into the text
/// before it is read, so that it is rounded once.
template <class Real>
std::optional<Real> read(std::string_view number, const Scale& scale) {
  const auto e = number.find_first_of("eE");
  long exponent = scale.ten;
  if (e != number.npos) {
    std::string_view digits = number.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    long written = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), written).ec != std::errc{}) return std::nullopt;
    if (std::abs(written) > 10000) return std::nullopt;
    exponent += written;
  }
  const std::string text = fmt::format("{}e{}", number.substr(0, e), exponent);
  Real value = 0;
  const auto status = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status.ec != std::errc{} || status.ptr != text.data() + text.size()) return std::nullopt;
  value = std::ldexp(value, scale.two);
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

template <class Unit>
Error cannot_read(std::string_view text, std::string reason) {
  return {"", fmt::format("\"{}\"", text), std::move(reason),
          fmt::format("write a number and a unit, such as {}", form_of<Unit>.example)};
}

/// Rounded to significant digits, without exponent and trailing zeros.
std::string rounded(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
  const int whole = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  if (whole < -4) return fmt::format("{:.{}g}", value, digits);
  std::string text = fmt::format("{:.{}f}", value, std::max(0, digits - whole));
  if (text.find('.') != text.npos) text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

double scaled(double value, const Scale& scale) {
  // Powers of ten up to 10^22 are exact doubles: dividing by one rounds once.
  const double ten = std::pow(10.0, std::abs(scale.ten));
  return std::ldexp(scale.ten < 0 ? value * ten : value / ten, -scale.two);
}

/// The largest scale at which the rounded number is at least 1, else the smallest.
const Scale& fitting(double value, std::span<const Scale> scales, int digits) {
  const Scale* best = &scales.front();
  for (const Scale& scale : scales) {
    if (std::abs(scaled(value, scale)) >= 1 - 0.5 * std::pow(10.0, -digits)) best = &scale;
  }
  return value == 0 ? plain : *best;
}

const Scale& chosen(const Form& form, double value, Prefix prefix, int digits) {
  if (prefix == Prefix::automatic) return fitting(value, form.automatic, digits);
  if (prefix == Prefix::decimal) {
    return fitting(value, form.automatic.back().two == 0 ? form.automatic : form.other, digits);
  }
  for (const auto family : {form.automatic, form.other}) {
    for (const Scale& scale : family) {
      if (scale.prefix == prefix) return scale;
    }
  }
  return plain;
}

}  // namespace

template <class Unit>
Result<Unit> parse(std::string_view text) {
  using Rep = typename Unit::rep;
  using Real = std::conditional_t<std::is_integral_v<Rep>, long double, Rep>;
  const std::string_view content = trim(text);
  if (content.starts_with('-')) return cannot_read<Unit>(text, "is negative");
  const std::size_t length = number_length(content);
  if (length == 0) return cannot_read<Unit>(text, "does not start with a number");
  const std::string_view number = content.substr(0, length);
  const std::string_view unit = trim(content.substr(length));
  if (unit.empty()) return cannot_read<Unit>(text, "has no unit");

  const Form& form = form_of<Unit>;
  std::optional<Real> value;
  bool known = false;
  for (const auto family : {form.automatic, form.other}) {
    for (const Scale& scale : family) {
      if (known || spelling(form, scale) != unit) continue;
      known = true;
      value = read<Real>(number, scale);
    }
  }
  if constexpr (std::is_same_v<Unit, Seconds>) {
    for (const LongTime& time : long_times) {
      if (time.text != unit) continue;
      known = true;
      value = read<Real>(number, plain);
      if (value) *value *= time.seconds;
    }
  }
  if (!known) return cannot_read<Unit>(text, fmt::format("has an unknown unit ({})", unit));
  if constexpr (std::is_integral_v<Rep>) {
    if (value) value = std::nearbyint(*value);
    if (value && *value >= 0x1p63L) value.reset();
  }
  if (!value || !std::isfinite(*value)) return cannot_read<Unit>(text, "is out of range");
  return Unit(static_cast<Rep>(*value));
}

template <class Unit>
std::string print(Unit quantity, Prefix prefix, int digits) {
  const Form& form = form_of<Unit>;
  const auto value = static_cast<double>(quantity.value());
  const Scale& scale = chosen(form, value, prefix, digits);
  if (std::is_integral_v<typename Unit::rep> && scale.prefix == Prefix::none) {
    return join(fmt::format("{}", quantity.value()), form, scale);
  }
  return join(rounded(scaled(value, scale), digits), form, scale);
}

template <class Unit>
std::string print_exact(Unit quantity) {
  const Form& form = form_of<Unit>;
  const auto value = static_cast<double>(quantity.value());
  std::string shortest = join(fmt::format("{}", quantity.value()), form, plain);
  for (const auto family : {form.automatic, form.other}) {
    for (const Scale& scale : family) {
      const std::string text = join(rounded(scaled(value, scale), 6), form, scale);
      if (text.size() >= shortest.size()) continue;
      const Result<Unit> again = parse<Unit>(text);
      if (again && *again == quantity) shortest = text;
    }
  }
  return shortest;
}

#define DTCALC_UNIT_TEXT(Unit)                         \
  template Result<Unit> parse<Unit>(std::string_view); \
  template std::string print<Unit>(Unit, Prefix, int); \
  template std::string print_exact<Unit>(Unit)
DTCALC_UNIT_TEXT(Bytes);
DTCALC_UNIT_TEXT(Parameters);
DTCALC_UNIT_TEXT(Tokens);
DTCALC_UNIT_TEXT(FlopCount);
DTCALC_UNIT_TEXT(Flop);
DTCALC_UNIT_TEXT(Seconds);
DTCALC_UNIT_TEXT(FlopPerSecond);
DTCALC_UNIT_TEXT(BytesPerSecond);
DTCALC_UNIT_TEXT(TokensPerSecond);
DTCALC_UNIT_TEXT(FlopPerByte);
#undef DTCALC_UNIT_TEXT

}  // namespace dtcalc
