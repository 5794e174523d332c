// The registry of closed forms: each row's text says what its function computes; and the expression parser it is read
// with.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>

#include "costmodel/formulas/equations.hpp"
#include "costmodel/formulas/expression.hpp"
#include "costmodel/formulas/registry.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;

namespace {

double evaluated(std::string_view text, const Values& values = {}) {
  const Result<Expression> parsed = Expression::parse(text);
  REQUIRE(parsed);
  const Result<double> result = parsed->evaluate(values);
  REQUIRE(result);
  return *result;
}

/// A value within the domain that the headers state: T divides everything it shards, E D is whole, shares are below 1.
double draw(std::string_view input, std::mt19937& random) {
  const auto whole = [&](int low, int high) {
    return static_cast<double>(std::uniform_int_distribution<int>(low, high)(random));
  };
  const auto power_of_two = [&](int low, int high) { return std::ldexp(1.0, static_cast<int>(whole(low, high))); };
  const std::set<std::string_view> flags{"causal", "separate_master"};
  const std::set<std::string_view> shares{"alpha", "mfu", "c", "g", "beta", "eta_max"};
  if (flags.count(input) > 0) return whole(0, 1);
  if (shares.count(input) > 0) return whole(1, 99) / 100;
  if (input.substr(0, 3) == "log") return -whole(1, 9);
  if (input == "T") return power_of_two(1, 3);
  if (input == "G") return power_of_two(0, 5);
  if (input == "E") return whole(4, 32) / 4;
  if (input == "p" || input == "p_model" || input == "p_master") return power_of_two(0, 3);
  if (input == "s_states") return whole(0, 2);
  return whole(1, 400) * 8;
}

}  // namespace

TEST_CASE("each formula's text computes what its function computes", "[formulas]") {
  std::mt19937 random(20240801);
  for (const FormulaRow& row : registry()) {
    INFO(row.id << ": " << row.formula);
    const Result<Expression> text = Expression::parse(row.formula);
    REQUIRE(text);
    for (int trial = 0; trial < 50; ++trial) {
      std::vector<double> inputs;
      Values values;
      for (const std::string_view input : row.inputs) {
        inputs.push_back(draw(input, random));
        values.emplace(input, inputs.back());
      }
      const double expected = row.function(inputs);
      INFO(substitute(row, inputs));
      REQUIRE(std::isfinite(expected));
      // Both sides round a handful of times; sums of like sign, so no cancellation beyond that of 1 - alpha^n (alpha <=
      // 0.99).
      CHECK(*text->evaluate(values) == Approx(expected).epsilon(1e-12).margin(1e-12));
      CHECK(evaluated(substitute(row, inputs)) == *text->evaluate(values));
    }
  }
}

TEST_CASE("rows are unique, complete and use each of their inputs", "[formulas]") {
  std::set<std::string_view> ids;
  for (const FormulaRow& row : registry()) {
    INFO(row.id);
    CHECK(ids.insert(row.id).second);
    CHECK_FALSE(row.title.empty());
    CHECK_FALSE(row.unit.empty());
    CHECK_FALSE(row.equation.empty());
    const std::vector<std::string> names = Expression::parse(row.formula).value().names();
    CHECK(std::set<std::string_view>(names.begin(), names.end()) ==
          std::set<std::string_view>(row.inputs.begin(), row.inputs.end()));
  }
}

TEST_CASE("the equations that explain needs are there", "[formulas]") {
  const std::string equation = GENERATE("3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.2", "4.3",
                                        "5.1", "5.2", "5.3", "5.4", "B", "F.1", "F.2", "F.3");
  CHECK_FALSE(find_formulas(equation).empty());
}

TEST_CASE("each equation of the notes, (1.1) to (F.3), has a function or a reason to have none", "[formulas]") {
  // How many equations each chapter and appendix of the notes numbers; chapters 8 and 10 and appendices B and C have
  // none.
  struct Chapter {
    const char* name;
    int equations;
  };
  static constexpr Chapter chapters[] = {{"1", 12}, {"2", 11}, {"3", 16}, {"4", 3},  {"5", 4},  {"6", 2},
                                         {"7", 15}, {"9", 2},  {"11", 2}, {"12", 1}, {"13", 2}, {"14", 1},
                                         {"A", 4},  {"D", 3},  {"E", 9},  {"F", 3}};
  const std::vector<Equation> all = equations();
  std::size_t last = 0;
  int counted = 0;
  for (const Chapter& chapter : chapters)
    for (int i = 1; i <= chapter.equations; ++i, ++counted) {
      const std::string number = std::string(chapter.name) + "." + std::to_string(i);
      CAPTURE(number);
      std::size_t at = 0;
      while (at < all.size() && all[at].number != number) ++at;
      REQUIRE(at < all.size());
      CHECK(at >= last);  // in the notes' order
      last = at;
      // Either or: sections of the same number ("7.5 text") are rows of their own.
      CHECK(all[at].functions.empty() == (all[at].remark.substr(0, 16) == "derivation only:"));
    }
  CHECK(counted == 90);
}

TEST_CASE("every function that stands for an equation is declared in a header", "[formulas]") {
  std::string headers;
  for (const char* folder : {"costmodel", "engine"})
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(DTCALC_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".hpp") {
        std::ifstream file(entry.path());
        headers.append(std::istreambuf_iterator<char>(file), {});
      }
  for (const Equation& equation : equations())
    for (const std::string& function : equation.functions) {
      CAPTURE(equation.number, function);
      CHECK(headers.find(" " + function + "(") != std::string::npos);
    }
}

TEST_CASE("formulas are found by id and by any of their equations", "[formulas]") {
  CHECK(find_formulas("3.1").size() == 2);
  REQUIRE(find_formulas("F.3").size() == 1);
  CHECK(find_formulas("F.3").front()->id == "eq_4_2_model_flops");
  CHECK(find_formulas("eq_3_7_activations").size() == 1);
  CHECK(find_formulas("3").empty());
  CHECK(find_formulas("").empty());
}

TEST_CASE("numbers are put into a formula", "[formulas]") {
  CHECK(substitute("12*L*D^2 + S_min", {{"L", 96}, {"D", 12288}, {"S", 1}}) == "12*96*12288^2 + S_min");
  CHECK(substitute("a-b", {{"a", 0.1}, {"b", -2}}) == "0.1-(-2)");
  CHECK(substitute("8.8e13/e", {{"e", 2}, {"e13", 3}}) == "8.8e13/2");
  const FormulaRow& row = *find_formulas("3.2").front();
  CHECK(substitute(row, std::vector<double>{96, 12288, 4}) == "(4+2*4)*96*12288^2");
}

TEST_CASE("expressions follow the usual precedence", "[formulas]") {
  CHECK(evaluated("2+3*4^2") == 50);
  CHECK(evaluated("-2^2") == -4);
  CHECK(evaluated("2^-1") == 0.5);
  CHECK(evaluated("2^3^2") == 512);
  CHECK(evaluated("8/4/2") == 1);
  CHECK(evaluated("8-4-2") == 2);
  CHECK(evaluated("2*(3+4)*.5e1") == 70);
  CHECK(evaluated("max(2, 3) - min(sqrt(16), 5) + ceil(0.2) + ln(exp(1))") == 1);
  CHECK(evaluated("a*b_1/a", {{"a", 3}, {"b_1", 7}}) == 7);
  CHECK(Expression::parse("b+a*b").value().names() == std::vector<std::string>{"b", "a"});
}

TEST_CASE("broken expressions name the place", "[formulas]") {
  const auto place = [](std::string_view text) {
    const Result<Expression> parsed = Expression::parse(text);
    REQUIRE_FALSE(parsed);
    return parsed.errors().front().place;
  };
  CHECK(place("") == "character 1");
  CHECK(place("2*") == "character 3");
  CHECK(place("(2+3") == "character 5");
  CHECK(place("2 3") == "character 3");
  CHECK(place("2L") == "character 2");
  CHECK(place("log(3)") == "character 4");
  CHECK(place("max(1)") == "character 6");
  CHECK(place("1+.") == "character 3");
  CHECK_FALSE(Expression::parse(std::string(100000, '(')));
  CHECK_FALSE(Expression::parse(std::string(100000, '-') + "1"));
  CHECK_FALSE(Expression::parse("x").value().evaluate({}));
}
