#include "costmodel/scenario/field_access.hpp"

#include <algorithm>
#include <cstdint>

namespace dtcalc::field_access {
namespace {

std::string plain(double value) {
  constexpr double exact_integers = 1e15;
  return std::abs(value) < exact_integers && value == std::floor(value) ? fmt::format("{:.0f}", value)
                                                                        : fmt::format("{:g}", value);
}

std::string range_text(const Range& range) {
  const bool below = std::isfinite(range.maximum);
  const bool above = std::isfinite(range.minimum);
  if (above && below)
    return fmt::format("{} {} {} {}", range.open_minimum ? "above" : "from", plain(range.minimum),
                       range.open_maximum ? "to below" : "to", plain(range.maximum));
  if (above) return fmt::format("{} {}", range.open_minimum ? "above" : "of at least", plain(range.minimum));
  if (below) return fmt::format("{} {}", range.open_maximum ? "below" : "of at most", plain(range.maximum));
  return "";
}

/// The reason why a number is outside, or nothing.
std::string outside(double value, const Range& range) {
  if (value < 0 && range.minimum >= 0) return "is negative";
  if (value == 0 && (range.minimum > 0 || (range.minimum == 0 && range.open_minimum))) return "is zero";
  if (value < range.minimum || (range.open_minimum && value == range.minimum)) return "is too small";
  if (value > range.maximum || (range.open_maximum && value == range.maximum)) return "is too large";
  return "";
}

bool fail(const json& value, const FieldInfo& info, const std::string& place, const std::string& reason,
          std::vector<Error>& errors) {
  errors.push_back({place, shown(value), reason, "give " + expected(info)});
  return false;
}

bool names_no_number(const json& value) {
  if (!value.is_string()) return false;
  std::string word = value.get<std::string>();
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : static_cast<char>(c);
  });
  if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.erase(0, 1);
  return word == "nan" || word == "inf" || word == "infinity";
}

}  // namespace

std::string expected(const FieldInfo& info) {
  const std::string range = range_text(info.range);
  const auto with_range = [&](std::string_view what) {
    std::string text(what);
    if (!info.unit.empty()) text += fmt::format(" ({})", info.unit);
    return range.empty() ? text : text + " " + range;
  };
  const std::vector<std::string> words(info.choices.begin(), info.choices.end());
  switch (info.type) {
    case FieldType::integer:
      return with_range("an integer");
    case FieldType::number:
      return with_range("a number");
    case FieldType::boolean:
      return "true or false";
    case FieldType::text:
      return "a text";
    case FieldType::choice:
      return listed(words);
    case FieldType::choices:
      return "a list of " + listed(words);
    case FieldType::text_map:
      return "an object of texts";
    case FieldType::records:
      return "a list of objects";
  }
  return "";
}

bool wrong_type(const json& value, const FieldInfo& info, const std::string& place, std::vector<Error>& errors) {
  return fail(value, info, place,
              value.is_null()
                  ? "is not a value"
                  : fmt::format("is {} {}", value.is_array() || value.is_object() ? "an" : "a", value.type_name()),
              errors);
}

bool read_number(const json& value, const FieldInfo& info, const std::string& place, double& member,
                 std::vector<Error>& errors) {
  if (names_no_number(value)) return fail(value, info, place, "is not a finite number", errors);
  if (!value.is_number()) return wrong_type(value, info, place, errors);
  const double number = value.get<double>();
  if (!std::isfinite(number)) return fail(value, info, place, "is not a finite number", errors);
  if (const std::string reason = outside(number, info.range); !reason.empty())
    return fail(value, info, place, reason, errors);
  member = number;
  return true;
}

bool read_integer(const json& value, const FieldInfo& info, const std::string& place, std::int64_t& member,
                  std::vector<Error>& errors) {
  double number = 0;
  if (!read_number(value, info, place, number, errors)) return false;
  constexpr double exact_double = 9007199254740992.0;  // 2^53: above it a float no longer names one integer
  if (value.is_number_float()) {
    if (number != std::floor(number)) return fail(value, info, place, "is not an integer", errors);
    if (std::abs(number) > exact_double) return fail(value, info, place, "overflows an exact integer", errors);
    member = static_cast<std::int64_t>(number);
    return true;
  }
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return fail(value, info, place, "overflows a 64-bit integer", errors);
  member = value.get<std::int64_t>();
  return true;
}

bool read_text(const json& value, const FieldInfo& info, const std::string& place, std::string& member,
               std::vector<Error>& errors) {
  if (!value.is_string()) return wrong_type(value, info, place, errors);
  if (!info.choices.empty()) {
    std::size_t index = 0;
    if (!read_choice(value, info, place, index, errors)) return false;
  }
  member = value.get<std::string>();
  return true;
}

bool read_choice(const json& value, const FieldInfo& info, const std::string& place, std::size_t& index,
                 std::vector<Error>& errors) {
  if (!value.is_string()) return wrong_type(value, info, place, errors);
  const auto found = std::find(info.choices.begin(), info.choices.end(), value.get_ref<const std::string&>());
  if (found == info.choices.end()) {
    const std::vector<std::string> words(info.choices.begin(), info.choices.end());
    errors.push_back({place, shown(value), "is not known", "use " + listed(words)});
    return false;
  }
  index = static_cast<std::size_t>(found - info.choices.begin());
  return true;
}

bool known_keys(const json& object, const std::vector<std::string>& known, const std::string& place,
                std::vector<Error>& errors) {
  bool good = true;
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest(key, known);
    errors.push_back({place + "/" + pointer_step(key), "", "is not a known key",
                      near.empty() ? "known are " + listed(known) : "did you mean " + near + "?"});
    good = false;
  }
  return good;
}

}  // namespace dtcalc::field_access
