#include "costmodel/formulas/equations.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <tuple>

#include "costmodel/formulas/registry.hpp"

namespace dtcalc::formulas {
namespace {

/// An equation without a row of the registry, or with a function that has none.
struct Outside {
  std::string_view number;
  std::string_view place;  ///< the number it is sorted as
  std::string_view function;
  std::string_view remark;
};

constexpr std::array outside{
    Outside{"6.1 text", "6.1 text", "kaplan_optimum", "best split of a compute: dtcalc scaling"},
    Outside{"6.2 text", "6.2 text", "chinchilla_optimum", "two results, of a compute: dtcalc scaling"},
    Outside{"6.2 text", "6.2 text", "chinchilla_exponents", ""},
    Outside{"footnote 38", "6.2 text 38", "cosine_lr", "in three pieces: dtcalc scaling --schedule"},
    Outside{"E.1", "E.1", "",
            "derivation only: it defines Sigma, whose trace estimate_noise finds from gradient norms"},
    Outside{"E.2", "E.2", "", "derivation only: the expansion from which (E.3) and (E.5) follow"}};

/// Chapters before appendices, numbers by value: "5.4" < "6.1" < "6.1 text" < "12.1" < "E.3".
std::tuple<long, char, long, std::string_view> order(std::string_view number) {
  const std::string text(number);
  const bool appendix = text[0] >= 'A' && text[0] <= 'Z';
  const long chapter = appendix ? 1000 : std::strtol(text.c_str(), nullptr, 10);
  const std::size_t dot = text.find('.');
  const long minor = dot == std::string::npos ? 0 : std::strtol(text.c_str() + dot + 1, nullptr, 10);
  return {chapter, appendix ? text[0] : ' ', minor, number};
}

}  // namespace

std::vector<Equation> equations() {
  struct Placed {
    std::string_view place;
    Equation equation;
  };
  std::vector<Placed> all;
  const auto at = [&](std::string_view number, std::string_view place) -> Equation& {
    for (Placed& p : all)
      if (p.equation.number == number) return p.equation;
    return all.emplace_back(Placed{place, {std::string(number), {}, {}}}).equation;
  };
  for (const FormulaRow& row : registry())
    for (std::string_view left = row.equation; !left.empty();) {
      const std::size_t comma = left.find(", ");
      const std::string_view number = left.substr(0, comma);
      at(number, number).functions.emplace_back(row.id);
      left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 2);
    }
  for (const Outside& o : outside) {
    Equation& equation = at(o.number, o.place);
    if (!o.function.empty()) equation.functions.emplace_back(o.function);
    if (!o.remark.empty()) equation.remark = o.remark;
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Placed& a, const Placed& b) { return order(a.place) < order(b.place); });
  std::vector<Equation> result;
  result.reserve(all.size());
  for (Placed& p : all) result.push_back(std::move(p.equation));
  return result;
}

}  // namespace dtcalc::formulas
