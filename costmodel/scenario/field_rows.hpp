// How the rows of the field table are written. Internal to this folder: the fields_*.cpp of each section use it, and
// fields.cpp joins their rows.
#pragma once

#include "costmodel/scenario/field_access.hpp"

namespace dtcalc::field_rows {

// Largest values. They keep products of sizes meaningful; check.cpp bounds the products themselves.
inline constexpr double max_layers = 1e5;
inline constexpr double max_width = 16777216;          // 2^24 channels; PaLM has 18432
inline constexpr double max_count = 2147483647;        // 2^31 - 1: vocabulary, tokens, sequences
inline constexpr double max_bytes = 1125899906842624;  // 1 PiB
inline constexpr double max_rate = 1e21;               // FLOP/s or bytes/s of one device
inline constexpr double max_seed = 9007199254740992;   // 2^53: every JSON reader keeps it
inline constexpr double max_stages = kMaxStages;
inline constexpr double max_seconds = 1;  // of one launch

constexpr Range positive(double maximum) { return {1, maximum, false, false}; }
constexpr Range time_factor{0.1, 10, false, false};
constexpr Range count(double maximum) { return {0, maximum, false, false}; }
constexpr Range above_zero(double maximum) { return {0, maximum, true, false}; }
inline constexpr Range fraction{0, 1, false, true};
inline constexpr Range share{0, 1, true, false};

/// A row of a section: `in<&Scenario::model, &Model::layers>(pointer, range, help)`.
template <auto... Path>
Field in(std::string_view pointer, Range range, std::string_view help, std::string_view derived_default = {},
         std::string_view unit = {}) {
  FieldInfo info;
  info.pointer = pointer;
  info.range = range;
  info.help = help;
  info.derived_default = derived_default;
  info.unit = unit;
  return field_access::row<Scenario, Path...>(info);
}
template <auto... Path>
Field in(std::string_view pointer, std::string_view help, std::string_view derived_default = {}) {
  return in<Path...>(pointer, Range{}, help, derived_default);
}
template <auto... Path>
Field word(std::string_view pointer, std::span<const std::string_view> choices, std::string_view help) {
  FieldInfo info;
  info.pointer = pointer;
  info.choices = choices;
  info.help = help;
  return field_access::row<Scenario, Path...>(info);
}

std::vector<Field> model();
std::vector<Field> hardware();
std::vector<Field> software();
std::vector<Field> cluster();
/// Training, inference and what stands outside of sections.
std::vector<Field> run();

}  // namespace dtcalc::field_rows
