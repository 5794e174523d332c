#include "gui/models/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::gui {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_preset_section(const std::string& section) {
  const auto names = preset_sections();
  return std::find(names.begin(), names.end(), section) != names.end();
}

std::string quoted(const std::string& word) {
  static constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// A path in a document starts at the document's folder, one on a command line at the working directory.
std::string located(const std::string& name_or_path, const fs::path& base) {
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".json");
  return is_path && !base.empty() ? (base / name_or_path).lexically_normal().string() : name_or_path;
}

/// Every value below a node as --set.
void add_sets(const json& node, const std::string& path, std::string& line) {
  if (node.is_object() && !node.empty()) {
    for (const auto& [key, value] : node.items()) add_sets(value, path.empty() ? key : path + "." + key, line);
    return;
  }
  const std::string text = node.is_string() ? node.get<std::string>() : std::string();
  // A word that would be read as something else keeps its quotes.
  const bool as_word = node.is_string() && !text.empty() && !json::accept(text) && text.find_first_of("{[\"") != 0;
  line += " --set " + quoted(path + "=" + (as_word ? text : node.dump()));
}

/// Words of a POSIX shell line: quotes, backslashes, lines continued.
Result<std::vector<std::string>> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      in_word = false;
      continue;
    }
    if (quote != '\'' && c == '\\' && i + 1 < line.size()) {
      if (line[++i] == '\n') continue;
      if (!in_word) words.emplace_back(), in_word = true;
      words.back() += line[i];
      continue;
    }
    if (!in_word) words.emplace_back(), in_word = true;
    if (quote == 0 && (c == '\'' || c == '"'))
      quote = c;
    else if (c == quote)
      quote = 0;
    else
      words.back() += c;
  }
  if (quote != 0) return Error{"command line", "", "a quote is not closed", "close it"};
  return words;
}

}  // namespace

std::string command_line_of(const Document& document) {
  std::string line = "dtcalc estimate", sets;
  for (const auto& [section, value] : document.json->items()) {
    if (section == "$schema") continue;
    json rest = value;
    std::string preset;
    if (is_preset_section(section) && value.is_string())
      preset = value.get<std::string>(), rest = json::object();
    else if (value.is_object() && value.contains("preset"))
      preset = value.at("preset").get<std::string>(), rest.erase("preset");
    if (!preset.empty()) line += fmt::format(" --{} {}", section, quoted(located(preset, document.base)));
    if (preset.empty() || !rest.empty()) add_sets(rest, section, sets);
  }
  return line + sets;
}

Result<Document> document_of_command_line(const std::string& line) {
  const Result<std::vector<std::string>> words = words_of(line);
  if (!words) return words.errors();
  std::size_t i = 0;
  if (i < words->size() && ((*words)[i] == "$")) ++i;
  if (i >= words->size() || fs::path((*words)[i]).filename() != "dtcalc" || i + 1 >= words->size())
    return Error{"command line", "", "does not begin with dtcalc and a verb",
                 "paste for example dtcalc estimate --model gpt2-124m --hardware h200"};
  i += 2;
  Document document;
  json content = json::object();
  std::vector<std::string> sets;
  std::vector<std::pair<std::string, std::string>> sections;
  for (; i < words->size(); ++i) {
    std::string word = (*words)[i], value;
    const bool option = word.starts_with("-");
    if (!option) {
      Result<json> file = read_json_file(word);
      if (!file) return file.errors();
      content = std::move(file).value();
      document.base = fs::absolute(word).parent_path();
      continue;
    }
    if (const std::size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.erase(equals);
    } else if (word == "--json" || word == "--csv" || word == "--operators") {
      continue;
    } else if (++i < words->size()) {
      value = (*words)[i];
    } else {
      return Error{word, "", "has no value", "give one"};
    }
    if (word == "-m") word = "--model";
    if (word == "--set" || word == "-s")
      sets.push_back(value);
    else if (is_preset_section(word.substr(std::min<std::size_t>(2, word.size()))))
      sections.emplace_back(word.substr(2), value);
    else
      return Error{word, value, "is not about a scenario", "leave it out"};
  }
  if (!content.is_object()) return Error{"scenario", "", "is not an object", "give a scenario file"};
  for (const auto& [section, value] : sections)
    content[section] =
        value.find('/') != std::string::npos || value.ends_with(".json") ? fs::absolute(value).string() : value;
  Result<json> edited = apply_overrides(std::move(content), sets);
  if (!edited) return edited.errors();
  document.json = std::make_shared<const json>(std::move(edited).value());
  return document;
}

}  // namespace dtcalc::gui
