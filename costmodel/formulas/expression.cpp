// Parser and evaluator; see expression.hpp.
#include "costmodel/formulas/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace dtcalc::formulas {
namespace {

bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool in_name(char c) { return starts_name(c) || std::isdigit(static_cast<unsigned char>(c)) != 0; }

bool starts_number(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.'; }

/// Length of the name that starts at `at`.
std::size_t name_length(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && in_name(text[end])) ++end;
  return end - at;
}

/// Length of the number that starts at `at`, 0 if it is none.
std::size_t number_length(std::string_view text, std::size_t at, double& value) {
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  return error == std::errc() ? static_cast<std::size_t>(end - (text.data() + at)) : 0;
}

}  // namespace

bool Expression::find_function(std::string_view name, Op& op, int& arguments) {
  struct Function {
    std::string_view name;
    Op op;
    int arguments;
  };
  static constexpr Function functions[] = {{"sqrt", Op::sqrt, 1}, {"exp", Op::exp, 1}, {"ln", Op::ln, 1},
                                           {"ceil", Op::ceil, 1}, {"min", Op::min, 2}, {"max", Op::max, 2}};
  for (const Function& function : functions) {
    if (function.name != name) continue;
    op = function.op, arguments = function.arguments;
    return true;
  }
  return false;
}

bool Expression::takes_two(Op op) {
  switch (op) {
    case Op::add:
    case Op::subtract:
    case Op::multiply:
    case Op::divide:
    case Op::power:
    case Op::min:
    case Op::max:
      return true;
    default:
      return false;
  }
}

/// Recursive descent; emits the program in postfix order. A failure is remembered once and unwinds.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : text_(text) {}

  Result<Expression> run() {
    sum();
    if (reason_.empty() && peek() != '\0') fail("an operator was expected");
    if (!reason_.empty()) {
      return Error{fmt::format("character {}", failed_at_ + 1), std::string(text_), reason_,
                   "write numbers, names, + - * / ^, brackets, sqrt, exp, ln, ceil, min, max"};
    }
    return std::move(result_);
  }

 private:
  using Op = Expression::Op;
  static constexpr int most_nested = 100;

  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) { return peek() == c ? ++at_, true : false; }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("'{}' was expected", c));
  }
  void fail(std::string reason) {
    if (!reason_.empty()) return;
    reason_ = std::move(reason), failed_at_ = at_;
    at_ = text_.size();
  }
  void emit(Op op) { result_.steps_.push_back({op}); }

  void sum() {
    product();
    while (true) {
      if (take('+')) {
        product(), emit(Op::add);
      } else if (take('-')) {
        product(), emit(Op::subtract);
      } else {
        return;
      }
    }
  }
  void product() {
    factor();
    while (true) {
      if (take('*')) {
        factor(), emit(Op::multiply);
      } else if (take('/')) {
        factor(), emit(Op::divide);
      } else {
        return;
      }
    }
  }
  void factor() {
    if (++depth_ > most_nested) return fail("it is nested too deeply");
    if (take('-')) {
      factor(), emit(Op::negate);
    } else if (take('+')) {
      factor();
    } else {
      primary();
      if (take('^')) factor(), emit(Op::power);
    }
    --depth_;
  }
  void primary() {
    const char c = peek();
    if (take('(')) {
      sum(), expect(')');
    } else if (starts_number(c)) {
      number();
    } else if (starts_name(c)) {
      name();
    } else {
      fail("a number, a name or a bracket was expected");
    }
  }
  void number() {
    double value = 0;
    const std::size_t length = number_length(text_, at_, value);
    if (length == 0) return fail("this is not a number");
    at_ += length;
    result_.steps_.push_back({Op::number, value});
  }
  void name() {
    const std::string_view word = text_.substr(at_, name_length(text_, at_));
    Op function{};
    int arguments = 0;
    const bool known = Expression::find_function(word, function, arguments);
    if (!known) {
      at_ += word.size();
      if (peek() == '(') return fail(fmt::format("{} is not a function", word));
      auto& names = result_.names_;
      const auto found = std::find(names.begin(), names.end(), word);
      result_.steps_.push_back({Op::name, 0, static_cast<std::size_t>(found - names.begin())});
      if (found == names.end()) names.emplace_back(word);
      return;
    }
    at_ += word.size();
    expect('(');
    for (int i = 0; i < arguments; ++i) {
      if (i > 0) expect(',');
      sum();
    }
    expect(')');
    emit(function);
  }

  std::string_view text_;
  std::size_t at_ = 0, failed_at_ = 0;
  int depth_ = 0;
  std::string reason_;
  Expression result_;
};

Result<Expression> Expression::parse(std::string_view text) { return ExpressionParser(text).run(); }

Result<double> Expression::evaluate(const Values& values) const {
  std::vector<double> numbers;
  numbers.reserve(names_.size());
  for (const std::string& name : names_) {
    const auto found = values.find(name);
    if (found == values.end()) return Error{name, "", "the name has no value", ""};
    numbers.push_back(found->second);
  }
  std::vector<double> stack;
  for (const Step& step : steps_) {
    if (step.op == Op::number || step.op == Op::name) {
      stack.push_back(step.op == Op::number ? step.number : numbers[step.name]);
      continue;
    }
    double right = 0;
    if (takes_two(step.op)) right = stack.back(), stack.pop_back();
    double& left = stack.back();
    switch (step.op) {
      case Op::number:
      case Op::name:
        break;
      case Op::add:
        left += right;
        break;
      case Op::subtract:
        left -= right;
        break;
      case Op::multiply:
        left *= right;
        break;
      case Op::divide:
        left /= right;
        break;
      case Op::power:
        left = std::pow(left, right);
        break;
      case Op::negate:
        left = -left;
        break;
      case Op::sqrt:
        left = std::sqrt(left);
        break;
      case Op::exp:
        left = std::exp(left);
        break;
      case Op::ln:
        left = std::log(left);
        break;
      case Op::ceil:
        left = std::ceil(left);
        break;
      case Op::min:
        left = std::min(left, right);
        break;
      case Op::max:
        left = std::max(left, right);
        break;
    }
  }
  return stack.back();
}

std::string substitute(std::string_view text, const Values& values) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    double number = 0;
    if (starts_number(text[at])) {
      length = std::max<std::size_t>(number_length(text, at, number), 1);
    } else if (starts_name(text[at])) {
      length = name_length(text, at);
      if (const auto found = values.find(text.substr(at, length)); found != values.end()) {
        result += found->second < 0 ? fmt::format("({})", found->second) : fmt::format("{}", found->second);
        at += length;
        continue;
      }
    }
    result += text.substr(at, length);
    at += length;
  }
  return result;
}

}  // namespace dtcalc::formulas
