// Figures as options: "7B", "1.4T tokens", "5.76e23 FLOP", "1 ms" or a bare number in the unit itself. Called by the
// verbs about laws.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::cli {

/// A positive quantity. `text` may leave the unit out; zero, negative numbers, NaN and infinity are errors at `option`.
template <class Unit>
Result<Unit> positive(const std::string& option, const std::string& text);

/// A positive, finite number without unit; `least` and `most` are allowed themselves.
Result<double> positive_number(const std::string& option, const std::string& text, double most = 1e300);

/// Collects the errors of many options and hands out what could be read: an empty text is an option not given.
class OptionReader {
 public:
  template <class Unit>
  std::optional<Unit> quantity(const std::string& option, const std::string& text) {
    if (text.empty()) return std::nullopt;
    return keep(positive<Unit>(option, text));
  }
  std::optional<double> number(const std::string& option, const std::string& text, double most = 1e300) {
    if (text.empty()) return std::nullopt;
    return keep(positive_number(option, text, most));
  }
  void add(Error error) { errors_.push_back(std::move(error)); }
  const std::vector<Error>& errors() const { return errors_; }

 private:
  template <class T>
  std::optional<T> keep(Result<T> result) {
    if (result) return std::move(result).value();
    errors_.insert(errors_.end(), result.errors().begin(), result.errors().end());
    return std::nullopt;
  }
  std::vector<Error> errors_;
};

}  // namespace dtcalc::cli
