// Reading and writing one member of a scenario as JSON, by its C++ type. Internal to this folder: fields.cpp makes the
// rows of the field table with it, and nobody else includes it.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::field_access {

using nlohmann::json;

template <class T>
inline constexpr bool is_quantity = false;
template <class Tag, class Rep>
inline constexpr bool is_quantity<Quantity<Tag, Rep>> = true;

template <class T>
inline constexpr bool is_records = false;
template <class Record>
inline constexpr bool is_records<std::vector<Record>> = !std::is_same_v<Record, std::string>;

/// The keys of a record type; specialised in fields.cpp.
template <class Record>
std::span<const FieldOf<Record>> record_fields();

template <class T>
constexpr FieldType field_type() {
  if constexpr (std::is_same_v<T, bool>) {
    return FieldType::boolean;
  } else if constexpr (is_quantity<T>) {
    return field_type<typename T::rep>();
  } else if constexpr (std::is_integral_v<T>) {
    return FieldType::integer;
  } else if constexpr (std::is_floating_point_v<T>) {
    return FieldType::number;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return FieldType::text;
  } else if constexpr (NamedEnum<T>) {
    return FieldType::choice;
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return FieldType::choices;
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    return FieldType::text_map;
  } else {
    static_assert(is_records<T>);
    return FieldType::records;
  }
}

template <class T>
constexpr std::string_view unit_of() {
  if constexpr (std::is_same_v<T, Bytes>) return "bytes";
  if constexpr (std::is_same_v<T, Seconds>) return "s";
  if constexpr (std::is_same_v<T, FlopPerSecond>) return "FLOP/s";
  if constexpr (std::is_same_v<T, BytesPerSecond>) return "bytes/s";
  return "";
}

/// "an integer from 1 to 100", the way out of most errors.
std::string expected(const FieldInfo& info);

/// The number as an exact integer or a finite double within the range; otherwise one error.
bool read_integer(const json&, const FieldInfo&, const std::string& place, std::int64_t&, std::vector<Error>&);
bool read_number(const json&, const FieldInfo&, const std::string& place, double&, std::vector<Error>&);
bool read_text(const json&, const FieldInfo&, const std::string& place, std::string&, std::vector<Error>&);
/// The index of the text among the choices.
bool read_choice(const json&, const FieldInfo&, const std::string& place, std::size_t&, std::vector<Error>&);
bool wrong_type(const json&, const FieldInfo&, const std::string& place, std::vector<Error>&);
/// Reports the keys of `object` that are not in `known`; true when there are none.
bool known_keys(const json& object, const std::vector<std::string>& known, const std::string& place,
                std::vector<Error>& errors);

template <class T>
bool read(const json& value, const FieldInfo& info, const std::string& place, T& member, std::vector<Error>& errors) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) return wrong_type(value, info, place, errors);
    member = value.get<bool>();
  } else if constexpr (is_quantity<T>) {
    typename T::rep plain{};
    if (!read(value, info, place, plain, errors)) return false;
    member = T(plain);
  } else if constexpr (std::is_integral_v<T>) {
    std::int64_t integer = 0;
    if (!read_integer(value, info, place, integer, errors)) return false;
    member = static_cast<T>(integer);  // the row's range keeps an unsigned member (the seed) non-negative
  } else if constexpr (std::is_floating_point_v<T>) {
    return read_number(value, info, place, member, errors);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return read_text(value, info, place, member, errors);
  } else if constexpr (NamedEnum<T>) {
    std::size_t index = 0;
    if (!read_choice(value, info, place, index, errors)) return false;
    member = static_cast<T>(index);
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    if (!value.is_array()) return wrong_type(value, info, place, errors);
    std::vector<std::string> words;
    bool good = true;
    for (std::size_t i = 0; i < value.size(); ++i) {
      std::size_t index = 0;
      if (read_choice(value[i], info, fmt::format("{}/{}", place, i), index, errors))
        words.emplace_back(info.choices[index]);
      else
        good = false;
    }
    if (!good) return false;
    member = std::move(words);
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    if (!value.is_object()) return wrong_type(value, info, place, errors);
    std::map<std::string, std::string> texts;
    bool good = true;
    for (const auto& [key, text] : value.items())
      good = read_text(text, FieldInfo{}, place + "/" + pointer_step(key), texts[key], errors) && good;
    if (!good) return false;
    member = std::move(texts);
  } else {
    using Record = typename T::value_type;
    if (!value.is_array()) return wrong_type(value, info, place, errors);
    T records(value.size());
    std::vector<std::string> keys;
    for (const auto& field : record_fields<Record>()) keys.emplace_back(field.info.pointer.substr(1));
    bool good = true;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string here = fmt::format("{}/{}", place, i);
      if (!value[i].is_object()) {
        errors.push_back({here, shown(value[i]), "is not an object", "give the keys " + listed(keys)});
        good = false;
        continue;
      }
      good = known_keys(value[i], keys, here, errors) && good;
      for (const auto& field : record_fields<Record>()) {
        const std::string key(field.info.pointer.substr(1));
        const std::string key_place = fmt::format("{}/{}", here, key);
        if (const auto found = value[i].find(key); found != value[i].end()) {
          good = field.read(*found, field.info, key_place, records[i], errors) && good;
        } else {
          errors.push_back({key_place, "", "is missing", fmt::format("give {}", expected(field.info))});
          good = false;
        }
      }
    }
    if (!good) return false;
    member = std::move(records);
  }
  return true;
}

template <class T>
json write(const T& member) {
  if constexpr (is_quantity<T>) {
    return member.value();
  } else if constexpr (NamedEnum<T>) {
    return std::string(name_of(member));
  } else if constexpr (is_records<T>) {
    json list = json::array();
    for (const auto& record : member) {
      json object = json::object();
      for (const auto& field : record_fields<typename T::value_type>())
        object[std::string(field.info.pointer.substr(1))] = field.write(record);
      list.push_back(std::move(object));
    }
    return list;
  } else {
    return member;
  }
}

template <class Record>
std::vector<FieldInfo> members_of() {
  std::vector<FieldInfo> infos;
  for (const auto& field : record_fields<Record>()) infos.push_back(field.info);
  return infos;
}

/// The row of the member reached by the member pointers `Path` from `Root`. Type, choices and unit follow from its
/// type.
template <class Root, auto... Path>
FieldOf<Root> row(FieldInfo info) {
  using T = std::remove_cvref_t<decltype((std::declval<Root&>().*....*Path))>;
  info.type = field_type<T>();
  if constexpr (NamedEnum<T>) info.choices = EnumNames<T>::list;
  if constexpr (is_quantity<T>) info.unit = unit_of<T>();
  if constexpr (is_records<T>) info.members = &members_of<typename T::value_type>;
  if (info.type == FieldType::text && !info.choices.empty()) info.type = FieldType::choice;
  return {info,
          [](const json& value, const FieldInfo& about, const std::string& place, Root& root,
             std::vector<Error>& errors) { return read(value, about, place, (root.*....*Path), errors); },
          [](const Root& root) { return write((root.*....*Path)); }};
}

}  // namespace dtcalc::field_access
