#include "costmodel/error.hpp"

#include <fmt/format.h>

namespace dtcalc {
namespace {

/// Names and values come from files and arguments: none of them may steer the terminal that shows them.
std::string visible(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7f)
      result += fmt::format("\\u{:04x}", byte);
    else
      result += c;
  }
  return result;
}

}  // namespace

std::string describe(const Error& error) {
  std::string text = error.place;
  if (!text.empty()) text += ": ";
  if (!error.value.empty()) text += error.value + " ";
  text += error.reason;
  if (!error.way_out.empty()) text += "; " + error.way_out;
  return visible(text);
}

std::string describe(const std::vector<Error>& errors) {
  std::string text;
  for (const Error& error : errors) {
    if (!text.empty()) text += '\n';
    text += describe(error);
  }
  return text;
}

}  // namespace dtcalc
