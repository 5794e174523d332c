#include "costmodel/error.hpp"

namespace dtcalc {

std::string describe(const Error& error) {
  std::string text = error.place;
  if (!text.empty()) text += ": ";
  if (!error.value.empty()) text += error.value + " ";
  text += error.reason;
  if (!error.way_out.empty()) text += "; " + error.way_out;
  return text;
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
