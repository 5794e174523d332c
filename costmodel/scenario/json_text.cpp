#include "costmodel/scenario/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <system_error>

namespace dtcalc {
namespace {

using nlohmann::json;

/// Receives the events of nlohmann's parser and builds the value, refusing what its own builder lets pass.
class Builder {
 public:
  Builder(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(json::number_integer_t value) { return put(value); }
  bool number_unsigned(json::number_unsigned_t value) { return put(value); }
  bool number_float(json::number_float_t value, const json::string_t&) { return put(value); }
  bool string(json::string_t& value) { return put(value); }
  bool binary(json::binary_t&) { return false; }  // text has none
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(json::string_t& name) {
    Level& level = levels_.back();
    level.key = name;
    if (level.value.contains(name))
      errors_.push_back({place(pointer()), shown(name), "is given twice", "keep one of the two"});
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& exception) {
    const std::string_view before = text_.substr(0, std::min(position > 0 ? position - 1 : 0, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    std::string reason = exception.what();
    for (const std::string_view end : {"syntax error while ", "column "}) {  // nlohmann's own position comes first
      if (const auto at = reason.find(end); at != std::string::npos) {
        reason = end == "column " ? reason.substr(reason.find(": ", at) + 2) : reason.substr(at + end.size());
        break;
      }
    }
    if (const auto at = reason.rfind("[json.exception."); at != std::string::npos)
      reason = reason.substr(reason.find("] ", at) + 2);
    errors_.push_back({fmt::format("{}:{}:{}", name_, line, before.size() - line_start + 1), "", "not JSON: " + reason,
                       "correct the text at this line and column"});
    return false;
  }

  std::vector<Error>& errors() { return errors_; }
  json& root() { return root_; }

 private:
  struct Level {
    json value;
    std::string key;
  };

  /// JSON pointer of the value that comes next.
  std::string pointer() const {
    std::string text;
    for (const Level& level : levels_) {
      text += '/';
      text += level.value.is_array() ? std::to_string(level.value.size()) : pointer_step(level.key);
    }
    return text;
  }
  std::string place(const std::string& where) const { return name_.empty() ? where : name_ + "#" + where; }

  bool open(json value) {
    if (levels_.size() >= static_cast<std::size_t>(max_json_depth)) {
      errors_.push_back({place(pointer().substr(0, 60) + "…"), "",
                         fmt::format("is nested deeper than {} levels", max_json_depth),
                         "a scenario needs five; remove the brackets"});
      return false;
    }
    levels_.push_back({std::move(value), {}});
    return true;
  }
  bool close() {
    json value = std::move(levels_.back().value);
    levels_.pop_back();
    return put(std::move(value));
  }
  bool put(json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (json& container = levels_.back().value; container.is_array()) {
      container.push_back(std::move(value));
    } else {
      container[levels_.back().key] = std::move(value);
    }
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  std::vector<Level> levels_;
  json root_;
  std::vector<Error> errors_;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

Result<json> parse_json(std::string_view text, const std::string& name) {
  if (text.size() > max_json_bytes)
    return Error{name, "", fmt::format("is larger than {} MiB", max_json_bytes >> 20),
                 "a scenario has a few kB; this is another file"};
  Builder builder(text, name);
  const bool whole = json::sax_parse(text.begin(), text.end(), &builder);
  if (!builder.errors().empty()) return std::move(builder.errors());
  if (!whole) return Error{name, "", "is not JSON", ""};
  return std::move(builder.root());
}

Result<json> read_json_file(const std::filesystem::path& file) {
  const auto unreadable = [&](const std::string& reason) {
    return Error{file.string(), "", reason, "give the path of a readable JSON file", ErrorKind::file};
  };
  std::error_code code;
  const auto status = std::filesystem::status(file, code);
  if (!std::filesystem::exists(status)) return unreadable("does not exist");
  if (!std::filesystem::is_regular_file(status)) return unreadable("is not a regular file");
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  std::string chunk(std::size_t{1} << 16, '\0');
  while (stream && text.size() <= max_json_bytes) {  // a chunk more than allowed shows that there is more
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk, 0, static_cast<std::size_t>(stream.gcount()));
  }
  if (!stream.eof() && text.size() <= max_json_bytes) return unreadable("cannot be read");
  return parse_json(text, file.string());
}

std::string shown(const json& value) {
  constexpr std::size_t limit = 60;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= limit) return text;
  std::size_t cut = limit;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80U) --cut;  // not inside a UTF-8 sequence
  return text.substr(0, cut) + "…";
}

std::string pointer_step(std::string_view key) {
  std::string step;
  for (const char c : key) {
    if (c == '~')
      step += "~0";
    else if (c == '/')
      step += "~1";
    else
      step += c;
  }
  return step;
}

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  constexpr std::size_t longest_word = 100;
  if (word.size() > longest_word) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(word, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace dtcalc
