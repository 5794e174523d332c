// The field table: every key of a scenario, once. The loader, the writer, `dtcalc schema`, the help text and the tables
// in docs/ all read it, so a new key is one row in fields.cpp.
#pragma once

#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

enum class FieldType : std::uint8_t {
  integer,  ///< 64-bit; a JSON float with an integral value below 2^53 counts as one
  number,   ///< finite double
  boolean,
  text,
  choice,    ///< one of `choices`
  choices,   ///< a list drawn from `choices`
  text_map,  ///< object of texts
  records    ///< a list of objects whose keys are `members`
};

struct Range {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool open_minimum = false;  ///< the minimum itself is not allowed
  bool open_maximum = false;
};

/// What is to be known about one key, without its value.
struct FieldInfo {
  std::string_view pointer;  ///< JSON pointer in the scenario; in a record, the key after "/"
  FieldType type = FieldType::text;
  std::string_view unit;  ///< empty for pure counts and words
  Range range;
  std::span<const std::string_view> choices;
  std::string_view derived_default;  ///< what an absent key becomes, where that depends on other keys
  std::string_view help;             ///< one sentence: meaning and consequence
  std::vector<FieldInfo> (*members)() = nullptr;
};

/// One key of `Root` with its access. `read` stores a JSON value or appends one Error with the given place and returns
/// false; `write` gives the value back, null when the key is to be left out.
template <class Root>
struct FieldOf {
  FieldInfo info;
  bool (*read)(const nlohmann::json&, const FieldInfo&, const std::string& place, Root&, std::vector<Error>&);
  nlohmann::json (*write)(const Root&);
};
using Field = FieldOf<Scenario>;

/// All keys of a scenario, in the order of the document.
std::span<const Field> fields();

/// The scenario's sections that are objects, in order: "model", "hardware", …
std::span<const std::string_view> sections();
/// Sections that may be named by a preset or a file.
std::span<const std::string_view> preset_sections();

/// The field with this pointer, or nullptr.
const Field* find_field(std::string_view pointer);

/// The resolved scenario as a document that loads to the same scenario. Names only values, never presets.
nlohmann::json to_json(const Scenario& scenario);

/// JSON Schema, draft 2020-12.
nlohmann::ordered_json scenario_schema();

/// Markdown tables of a section's keys (`docs/scenario.md`), "" for the keys outside of sections.
std::string markdown_table(std::string_view section);

/// One paragraph per key below `pointer` for a terminal: type, unit, range, default, help.
std::string help_text(std::string_view pointer);

}  // namespace dtcalc
