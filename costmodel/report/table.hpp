// A table of texts and numbers, printed aligned for people or as CSV. Called by every report and by the verbs that list
// things.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dtcalc::report {

enum class Align : unsigned char { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  ///< each as long as `columns`
};

/// Lines with columns two spaces apart, each after `indent` spaces; the titles first unless they are all empty. The
/// last column may be as long as it is; no line ends in spaces.
std::string text(const Table& table, int indent = 0);

/// RFC 4180 with LF line ends: the titles, then the rows.
std::string csv(const Table& table);

/// A field of CSV, quoted if it must be.
std::string csv_field(std::string_view field);

/// Columns that a text takes on a terminal: code points of UTF-8.
std::size_t width_of(std::string_view text);

/// `text` broken at spaces into lines of at most `columns`; lines after the first start with `indent` spaces.
std::string wrapped(std::string_view text, int columns, int indent = 0);

}  // namespace dtcalc::report
