// Arithmetic expressions as text: parse, evaluate, put numbers in. Used by `explain` and by the test that holds each
// formula's text against its function.
//
//   expression = term { ("+" | "-") term }          term  = factor { ("*" | "/") factor }
//   factor     = ("+" | "-") factor | power         power = primary [ "^" factor ]
//   primary    = number | name | name "(" expression { "," expression } ")" | "(" expression ")"
//
// Names are letters, digits and "_". Functions: sqrt, exp, ln, ceil (one argument), min, max (two).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"

namespace dtcalc::formulas {

/// Values of names; transparent, so that a lookup needs no string.
using Values = std::map<std::string, double, std::less<>>;

/// A parsed expression, kept as a program for a stack machine.
class Expression {
 public:
  /// The errors name the character where the text stops making sense.
  static Result<Expression> parse(std::string_view text);

  /// Names in the order in which they first appear, without functions.
  const std::vector<std::string>& names() const { return names_; }

  /// An error if a name has no value. Division by zero and the like give what IEEE arithmetic gives.
  Result<double> evaluate(const Values& values) const;

 private:
  friend class ExpressionParser;
  enum class Op : std::uint8_t {
    number,
    name,
    add,
    subtract,
    multiply,
    divide,
    power,
    negate,
    sqrt,
    exp,
    ln,
    ceil,
    min,
    max
  };
  struct Step {
    Op op = Op::number;
    double number = 0;
    std::size_t name = 0;
  };
  static bool takes_two(Op op);
  static bool find_function(std::string_view name, Op& op, int& arguments);

  std::vector<Step> steps_;
  std::vector<std::string> names_;
};

/// The text with each name that has a value replaced by it, shortest digits that read back the same; negative ones in
/// brackets. "12*L*D^2" becomes "12*96*12288^2".
std::string substitute(std::string_view text, const Values& values);

}  // namespace dtcalc::formulas
