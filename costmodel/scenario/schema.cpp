// What the field table says to people and editors: JSON Schema, Markdown tables and help text.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// The limit as JSON: integers stay integers.
ordered_json limit(const FieldInfo& info, double value) {
  return info.type == FieldType::integer ? ordered_json(static_cast<std::int64_t>(value)) : ordered_json(value);
}

ordered_json schema_of(const FieldInfo& info) {
  ordered_json schema;
  const auto describe_range = [&] {
    const Range& range = info.range;
    if (std::isfinite(range.minimum))
      schema[range.open_minimum ? "exclusiveMinimum" : "minimum"] = limit(info, range.minimum);
    if (std::isfinite(range.maximum))
      schema[range.open_maximum ? "exclusiveMaximum" : "maximum"] = limit(info, range.maximum);
  };
  ordered_json choices = ordered_json::array();
  for (const std::string_view choice : info.choices) choices.push_back(choice);
  switch (info.type) {
    case FieldType::integer:
      schema["type"] = "integer";
      describe_range();
      break;
    case FieldType::number:
      schema["type"] = "number";
      describe_range();
      break;
    case FieldType::boolean:
      schema["type"] = "boolean";
      break;
    case FieldType::text:
      schema["type"] = "string";
      break;
    case FieldType::choice:
      schema["enum"] = choices;
      break;
    case FieldType::choices:
      schema = {{"type", "array"}, {"items", {{"enum", choices}}}};
      break;
    case FieldType::text_map:
      schema = {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
      break;
    case FieldType::records: {
      ordered_json properties = ordered_json::object();
      ordered_json required = ordered_json::array();
      for (const FieldInfo& member : info.members()) {
        const std::string key(member.pointer.substr(1));
        properties[key] = schema_of(member);
        required.push_back(key);
      }
      schema = {
          {"type", "array"},
          {"items",
           {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}}};
      break;
    }
  }
  schema["description"] = info.unit.empty() ? std::string(info.help) : fmt::format("{} [{}]", info.help, info.unit);
  return schema;
}

/// The value an absent key takes, as text.
std::string default_text(const Field& field) {
  if (!field.info.derived_default.empty()) return std::string(field.info.derived_default);
  const json value = field.write(Scenario{});
  return value == "" ? "" : value.dump();
}

std::string type_text(const FieldInfo& info) {
  switch (info.type) {
    case FieldType::integer:
      return "integer";
    case FieldType::number:
      return "number";
    case FieldType::boolean:
      return "true, false";
    case FieldType::text:
      return "text";
    case FieldType::text_map:
      return "object of texts";
    case FieldType::records: {
      std::vector<std::string> keys;
      for (const FieldInfo& member : info.members()) keys.emplace_back(member.pointer.substr(1));
      return fmt::format("list of {{{}}}", fmt::join(keys, ", "));
    }
    case FieldType::choice:
    case FieldType::choices:
      return fmt::format("{}{}", info.type == FieldType::choices ? "list of " : "", fmt::join(info.choices, ", "));
  }
  return "";
}

std::string range_text(const Range& range) {
  const bool low = std::isfinite(range.minimum);
  const bool high = std::isfinite(range.maximum);
  if (!low && !high) return "";
  return fmt::format("{}{}, {}{}", range.open_minimum || !low ? "(" : "[", range.minimum, range.maximum,
                     range.open_maximum || !high ? ")" : "]");
}

bool below(std::string_view pointer, std::string_view section) {
  if (section.empty()) return pointer.find('/', 1) == std::string_view::npos;
  return pointer.size() > section.size() + 1 && pointer.substr(1).starts_with(section) &&
         pointer[section.size() + 1] == '/';
}

}  // namespace

ordered_json scenario_schema() {
  ordered_json root = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                       {"title", "dtcalc scenario"},
                       {"description", "Model, hardware, cluster, software, training and inference of a prediction."},
                       {"type", "object"},
                       {"properties", {{"$schema", {{"type", "string"}}}}},
                       {"required", {"model", "hardware"}},
                       {"additionalProperties", false}};
  ordered_json& properties = root["properties"];
  const auto object = [](ordered_json members) {
    return ordered_json{{"type", "object"}, {"properties", std::move(members)}, {"additionalProperties", false}};
  };
  for (const std::string_view section : sections()) properties[std::string(section)] = object(ordered_json::object());
  for (const Field& field : fields()) {
    std::string_view rest = field.info.pointer.substr(1);
    ordered_json* node = &root;
    for (auto slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
      ordered_json& child = (*node)["properties"][std::string(rest.substr(0, slash))];
      if (child.is_null()) child = object(ordered_json::object());
      node = &child;
      rest = rest.substr(slash + 1);
    }
    ordered_json schema = schema_of(field.info);
    if (const json value = field.write(Scenario{}); field.info.derived_default.empty() && !value.is_null())
      schema["default"] = value;
    (*node)["properties"][std::string(rest)] = std::move(schema);
  }
  for (const std::string_view section : preset_sections()) {
    ordered_json& schema = properties[std::string(section)];
    const ordered_json preset = {{"type", "string"}, {"description", "Name of a preset, or path of a file."}};
    ordered_json members = {{"preset", preset}};
    members.update(schema["properties"]);
    schema["properties"] = std::move(members);
    schema = {{"oneOf", {preset, schema}}};
  }
  return root;
}

std::string markdown_table(std::string_view section) {
  std::string text = "| key | type | range | unit | default | meaning |\n|---|---|---|---|---|---|\n";
  for (const Field& field : fields()) {
    if (!below(field.info.pointer, section)) continue;
    const std::size_t skipped = section.empty() ? 1 : section.size() + 2;
    text +=
        fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", field.info.pointer.substr(skipped), type_text(field.info),
                    range_text(field.info.range), field.info.unit, default_text(field), field.info.help);
  }
  return text;
}

std::string help_text(std::string_view pointer) {
  std::string text;
  for (const Field& field : fields()) {
    if (!field.info.pointer.starts_with(pointer)) continue;
    text += fmt::format("{}  ({}", field.info.pointer, type_text(field.info));
    if (!field.info.unit.empty()) text += fmt::format("; {}", field.info.unit);
    if (const std::string range = range_text(field.info.range); !range.empty()) text += fmt::format("; {}", range);
    if (const std::string value = default_text(field); !value.empty()) text += fmt::format("; default {}", value);
    text += fmt::format(")\n    {}\n", field.info.help);
  }
  return text;
}

}  // namespace dtcalc
