#include "costmodel/scenario/fields.hpp"

#include "costmodel/scenario/field_rows.hpp"

namespace dtcalc {

using nlohmann::json;

std::span<const Field> fields() {
  static const std::vector<Field> table = [] {
    std::vector<Field> all = field_rows::model();
    for (const auto& part : {field_rows::hardware(), field_rows::software(), field_rows::cluster(), field_rows::run()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return table;
}

std::span<const std::string_view> sections() {
  static constexpr std::array<std::string_view, 6> names{"model",   "hardware", "software",
                                                         "cluster", "training", "inference"};
  return names;
}

std::span<const std::string_view> preset_sections() { return sections().first(4); }

const Field* find_field(std::string_view pointer) {
  for (const Field& field : fields())
    if (field.info.pointer == pointer) return &field;
  return nullptr;
}

json to_json(const Scenario& scenario) {
  json document = json::object();
  for (const Field& field : fields()) {
    if (!scenario.has_training && field.info.pointer.starts_with("/training/")) continue;
    if (!scenario.has_inference && field.info.pointer.starts_with("/inference/")) continue;
    json value = field.write(scenario);
    if (!value.is_null()) document[json::json_pointer(std::string(field.info.pointer))] = std::move(value);
  }
  return document;
}

}  // namespace dtcalc
