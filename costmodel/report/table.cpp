#include "costmodel/report/table.hpp"

#include <algorithm>

namespace dtcalc::report {
namespace {

void append_padded(std::string& line, std::string_view cell, std::size_t width, Align align) {
  const std::size_t used = width_of(cell), fill = width > used ? width - used : 0;
  if (align == Align::right) line.append(fill, ' ');
  line += cell;
  if (align == Align::left) line.append(fill, ' ');
}

}  // namespace

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string text(const Table& table, int indent) {
  std::vector<std::size_t> width;
  bool titled = false;
  for (const Column& column : table.columns) {
    width.push_back(width_of(column.title));
    titled = titled || !column.title.empty();
  }
  for (const auto& row : table.rows)
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], width_of(row[c]));

  std::string result;
  const auto add = [&](auto&& cell) {
    std::string line(static_cast<std::size_t>(indent), ' ');
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (c > 0) line += "  ";
      append_padded(line, cell(c), width[c], table.columns[c].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line;
    result += '\n';
  };
  if (titled) add([&](std::size_t c) { return std::string_view(table.columns[c].title); });
  for (const auto& row : table.rows) add([&](std::size_t c) { return std::string_view(row[c]); });
  return result;
}

std::string csv_field(std::string_view field) {
  if (field.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(field);
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

std::string csv(const Table& table) {
  std::string result;
  const auto add = [&](auto&& cell) {
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (c > 0) result += ',';
      result += csv_field(cell(c));
    }
    result += '\n';
  };
  add([&](std::size_t c) { return std::string_view(table.columns[c].title); });
  for (const auto& row : table.rows) add([&](std::size_t c) { return std::string_view(row[c]); });
  return result;
}

std::string wrapped(std::string_view text, int columns, int indent) {
  std::string result;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t width = width_of(word);
    if (used > static_cast<std::size_t>(indent) && used + 1 + width > static_cast<std::size_t>(columns)) {
      result += '\n';
      result.append(static_cast<std::size_t>(indent), ' ');
      used = static_cast<std::size_t>(indent);
    } else if (!result.empty()) {
      result += ' ';
      ++used;
    }
    result += word;
    used += width;
  }
  return result;
}

}  // namespace dtcalc::report
