#include "costmodel/published/family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::published {
namespace {

using nlohmann::json;

/// Reads one file and collects every error on the way.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void read(const json& document) {
    if (!object(document, "",
                {"title", "citation", "conventions", "assumptions", "flop_convention", "goals", "models", "scenario",
                 "columns", "rows"}))
      return;
    family.title = text(document, "title", "");
    read_citation(document);
    family.conventions = texts(document, "conventions");
    family.assumptions = texts(document, "assumptions");
    read_flop_convention(document);
    read_goals(document);
    if (const json* scenario = member(document, "scenario", ""); scenario != nullptr) {
      if (scenario->is_object())
        family.scenario = scenario->dump();
      else
        fail("/scenario", *scenario, "is not an object", "give what all rows share: {\"hardware\": …}");
    }
    const json none = json::object();
    const auto models = document.find("models");
    read_rows(document, models == document.end() ? none : *models);
  }

  Family family;
  std::vector<Error> errors;

 private:
  void fail(const std::string& pointer, const json& value, std::string reason, std::string way_out) {
    errors.push_back(
        {file_ + "#" + pointer, value.is_discarded() ? "" : shown(value), std::move(reason), std::move(way_out)});
  }

  /// Whether `value` is an object without other keys than `known`.
  bool object(const json& value, const std::string& pointer, const std::vector<std::string>& known) {
    if (!value.is_object()) return fail(pointer, value, "is not an object", "give the keys " + listed(known)), false;
    for (const auto& [key, unused] : value.items())
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        const std::string near = nearest(key, known);
        fail(pointer + "/" + pointer_step(key), json(json::value_t::discarded), "is not a known key",
             near.empty() ? "known are " + listed(known) : "did you mean " + near + "?");
      }
    return true;
  }

  /// A member that must be there, or nullptr.
  const json* member(const json& parent, const std::string& key, const std::string& pointer) {
    if (const auto found = parent.find(key); found != parent.end()) return &*found;
    fail(pointer + "/" + key, json(json::value_t::discarded), "is missing", "docs/published.md explains the keys");
    return nullptr;
  }

  std::string text(const json& parent, const std::string& key, const std::string& pointer) {
    const json* value = member(parent, key, pointer);
    if (value == nullptr) return "";
    if (value->is_string() && !value->get_ref<const std::string&>().empty()) return value->get<std::string>();
    return fail(pointer + "/" + key, *value, "is not a text", "write it in quotes"), "";
  }

  std::vector<std::string> texts(const json& parent, const std::string& key) {
    std::vector<std::string> result;
    const json* value = member(parent, key, "");
    if (value == nullptr) return result;
    if (!value->is_array()) return fail("/" + key, *value, "is not a list", "write [\"…\"]"), result;
    for (std::size_t i = 0; i < value->size(); ++i) {
      const json& item = (*value)[i];
      if (item.is_string())
        result.push_back(item.get<std::string>());
      else
        fail(fmt::format("/{}/{}", key, i), item, "is not a text", "write it in quotes");
    }
    return result;
  }

  void read_citation(const json& document) {
    const json* citation = member(document, "citation", "");
    if (citation == nullptr || !object(*citation, "/citation", {"authors", "title", "place", "url", "date"})) return;
    const auto part = [&](const char* key) { return text(*citation, key, "/citation"); };
    family.citation = {part("authors"), part("title"), part("place"), part("url"), part("date")};
  }

  void read_flop_convention(const json& document) {
    const auto found = document.find("flop_convention");
    if (found == document.end()) return;
    const auto convention = found->is_string() ? flop_convention(found->get<std::string>()) : std::nullopt;
    if (convention)
      family.flop = *convention;
    else
      fail("/flop_convention", *found, "is no FLOP convention", "use none, megatron, megatron_recompute or model_flop");
  }

  void read_goals(const json& document) {
    const auto found = document.find("goals");
    if (found == document.end()) return;
    if (!found->is_object()) return fail("/goals", *found, "is not an object", "write {\"step_s\": 0.05}");
    for (const auto& [key, value] : found->items()) {
      const auto column = figure_column(key);
      if (!column)
        unknown_figure("/goals/" + pointer_step(key), key);
      else if (!value.is_number() || value.get<double>() <= 0)
        fail("/goals/" + key, value, "is not a positive number", "write 0.05 for 5 %");
      else
        family.goals.push_back({column->figure, value.get<double>()});
    }
  }

  void unknown_figure(const std::string& pointer, const std::string& key) {
    const std::string near = nearest(key, figure_keys());
    fail(pointer, json(json::value_t::discarded), fmt::format("names no figure ({})", shown(json(key))),
         near.empty() ? "use id, trust, note, a scenario's JSON pointer, or " + listed(figure_keys())
                      : "did you mean " + near + "?");
  }

  struct Column {
    std::string key;
    std::optional<FigureColumn> figure;
  };

  std::vector<Column> read_columns(const json& document) {
    std::vector<Column> columns;
    const json* list = member(document, "columns", "");
    if (list == nullptr) return columns;
    if (!list->is_array()) return fail("/columns", *list, "is not a list", "write [\"id\", …]"), columns;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string pointer = fmt::format("/columns/{}", i);
      if (!(*list)[i].is_string()) {
        fail(pointer, (*list)[i], "is not a text", "write it in quotes");
        continue;
      }
      Column column{(*list)[i].get<std::string>(), std::nullopt};
      column.figure = figure_column(column.key);
      const bool plain = column.key == "id" || column.key == "trust" || column.key == "note";
      if (!plain && !column.figure && !column.key.starts_with("/")) unknown_figure(pointer, column.key);
      if (std::any_of(columns.begin(), columns.end(), [&](const Column& c) { return c.key == column.key; }))
        fail(pointer, (*list)[i], "is given twice", "keep one of the two");
      columns.push_back(std::move(column));
    }
    if (columns.empty() || columns.front().key != "id")
      fail("/columns", *list, "does not begin with id", "name each row in the first column");
    return columns;
  }

  void read_rows(const json& document, const json& models) {
    if (!models.is_object()) fail("/models", models, "is not an object", "write {\"name\": {\"layers\": 24, …}}");
    const std::vector<Column> columns = read_columns(document);
    const json* rows = member(document, "rows", "");
    if (rows == nullptr || !errors.empty()) return;  // rows cannot be read by columns that are wrong
    if (!rows->is_array()) return fail("/rows", *rows, "is not a list", "write a list a row");
    std::set<std::string> ids;
    for (std::size_t r = 0; r < rows->size(); ++r) {
      const json& cells = (*rows)[r];
      const std::string pointer = fmt::format("/rows/{}", r);
      if (!cells.is_array() || cells.size() != columns.size()) {
        fail(pointer, cells, fmt::format("is not a list of {} cells", columns.size()), "give a cell a column, or null");
        continue;
      }
      Row row;
      for (std::size_t c = 0; c < columns.size(); ++c)
        if (!cells[c].is_null()) read_cell(columns[c], cells[c], models, fmt::format("{}/{}", pointer, c), row);
      if (!ids.insert(row.id).second) fail(pointer + "/0", cells[0], "is given twice", "name each row differently");
      if (row.measured.empty()) fail(pointer, cells[0], "has no measured figure", "leave the row out");
      family.rows.push_back(std::move(row));
    }
  }

  void read_cell(const Column& column, const json& cell, const json& models, const std::string& pointer, Row& row) {
    if (column.figure) {
      if (!cell.is_number() || !(cell.get<double>() > 0) || !std::isfinite(cell.get<double>()))
        fail(pointer, cell, "is not a positive number", "give the measured figure, or null");
      else
        row.measured.push_back({column.figure->figure, cell.get<double>() * column.figure->scale});
      return;
    }
    if (column.key.starts_with("/")) {
      const bool own_model = column.key == "/model" && cell.is_string() && models.contains(cell.get<std::string>());
      const json& value = own_model ? models.at(cell.get<std::string>()) : cell;
      row.set.push_back(fmt::format("{}={}", column.key, value.dump(-1, ' ', false, json::error_handler_t::replace)));
      return;
    }
    if (!cell.is_string()) return fail(pointer, cell, "is not a text", "write it in quotes");
    const std::string word = cell.get<std::string>();
    static constexpr std::array<std::string_view, 4> grades{"A", "B", "C", "D"};
    if (column.key == "trust" && std::find(grades.begin(), grades.end(), word) == grades.end())
      fail(pointer, cell, "is no grade of trust", "use A, B, C or D");
    (column.key == "id" ? row.id : column.key == "trust" ? row.trust : row.note) = word;
  }

  std::string file_;
};

}  // namespace

Result<Family> load_family(const std::string& name_or_path, const Folders& folders) {
  const auto file = find_preset(PresetKind::published, name_or_path, folders, "--published");
  if (!file) return file.errors();
  const auto content = read_json_file(*file);
  if (!content) return content.errors();
  Reader reader(file->string());
  reader.read(*content);
  if (!reader.errors.empty()) return std::move(reader.errors);
  reader.family.name = file->stem().string();
  reader.family.file = *file;
  return std::move(reader.family);
}

Result<std::vector<Family>> load_families(const std::vector<std::string>& names, const Folders& folders) {
  std::vector<std::string> all = names;
  if (all.empty())
    for (const Preset& preset : list_presets(PresetKind::published, folders.data)) all.push_back(preset.name);
  std::vector<Family> families;
  std::vector<Error> errors;
  for (const std::string& name : all) {
    Result<Family> family = load_family(name, folders);
    if (family)
      families.push_back(std::move(family).value());
    else
      errors.insert(errors.end(), family.errors().begin(), family.errors().end());
  }
  if (!errors.empty()) return errors;
  return families;
}

}  // namespace dtcalc::published
