#include "costmodel/laws/fits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::laws {

std::span<const NamedFit> chinchilla_fits() {
  static constexpr std::array fits{
      NamedFit{"besiroglu", "re-fit of Approach 3's data", "Besiroglu et al. 2024, arXiv:2404.10102",
               formulas::besiroglu},
      NamedFit{"hoffmann", "Approach 3 as printed, (6.2)", "Hoffmann et al. 2022, arXiv:2203.15556, (10)",
               formulas::hoffmann},
      NamedFit{"hoffmann-unrounded", "Approach 3, digits of the arXiv source",
               "Hoffmann et al. 2022, arXiv:2203.15556, TeX source", formulas::hoffmann_tex}};
  return fits;
}

Result<NamedFit> find_fit(std::string_view name, std::string_view place) {
  std::vector<std::string> names;
  for (const NamedFit& fit : chinchilla_fits()) {
    if (fit.name == name) return fit;
    names.emplace_back(fit.name);
  }
  const std::string near = nearest(std::string(name), names);
  return Error{std::string(place), std::string(name), "is no fit of (6.1)",
               near.empty() ? "choose " + listed(names) : fmt::format("did you mean {}?", near)};
}

std::span<const Approach> approaches() {
  // Exponents: table 2. Rows: table 3 for Approach 1, table A3 for Approaches 2 and 3.
  static constexpr std::array all{
      Approach{"approach-1",
               "minimum over training curves",
               "Hoffmann et al. 2022, tables 2 and 3",
               0.50,
               0.488,
               0.502,
               0.50,
               0.501,
               0.512,
               {{{400e6, Flop(1.92e19), 8.0e9},
                 {1e9, Flop(1.21e20), 20.2e9},
                 {10e9, Flop(1.23e22), 205.1e9},
                 {67e9, Flop(5.76e23), 1.5e12},
                 {175e9, Flop(3.85e24), 3.7e12},
                 {280e9, Flop(9.90e24), 5.9e12},
                 {520e9, Flop(3.43e25), 11.0e12},
                 {1e12, Flop(1.27e26), 21.2e12},
                 {10e12, Flop(1.30e28), 216.2e12}}}},
      Approach{"approach-2",
               "isoFLOP profiles",
               "Hoffmann et al. 2022, tables 2 and A3",
               0.49,
               0.462,
               0.534,
               0.51,
               0.483,
               0.529,
               {{{400e6, Flop(1.84e19), 7.7e9},
                 {1e9, Flop(1.20e20), 20.0e9},
                 {10e9, Flop(1.32e22), 219.5e9},
                 {67e9, Flop(6.88e23), 1.7e12},
                 {175e9, Flop(4.54e24), 4.3e12},
                 {280e9, Flop(1.18e25), 7.1e12},
                 {520e9, Flop(4.19e25), 13.4e12},
                 {1e12, Flop(1.59e26), 26.5e12},
                 {10e12, Flop(1.75e28), 292.0e12}}}},
      Approach{"approach-3",
               "parametric fit of the loss",
               "Hoffmann et al. 2022, tables 2 and A3",
               0.46,
               0.454,
               0.455,
               0.54,
               0.542,
               0.543,
               {{{400e6, Flop(2.21e19), 9.2e9},
                 {1e9, Flop(1.62e20), 27.1e9},
                 {10e9, Flop(2.46e22), 410.1e9},
                 {67e9, Flop(1.71e24), 4.1e12},
                 // Printed as 1.26e+24, less than the row above; 6 x 175e9 x 12.0e12 is this.
                 {175e9, Flop(1.26e25), 12.0e12},
                 {280e9, Flop(3.52e25), 20.1e12},
                 {520e9, Flop(1.36e26), 43.5e12},
                 {1e12, Flop(5.65e26), 94.1e12},
                 {10e12, Flop(8.55e28), 1425.5e12}}}}};
  return all;
}

std::optional<Split> at_compute(const Approach& approach, Flop compute) {
  const auto& rows = approach.rows;
  if (!(compute >= rows.front().compute && compute <= rows.back().compute)) return std::nullopt;
  const auto above =
      std::find_if(rows.begin() + 1, rows.end(), [&](const FrontierRow& r) { return r.compute >= compute; });
  const FrontierRow& high = *above;
  const FrontierRow& low = *(above - 1);
  const double share = std::log(compute / low.compute) / std::log(high.compute / low.compute);
  return Split{low.parameters * std::pow(high.parameters / low.parameters, share),
               low.tokens * std::pow(high.tokens / low.tokens, share)};
}

Split kaplan_optimum(Flop compute) {
  const double petaflops_days = compute.value() / formulas::flop_per_petaflops_day;
  return {1.3e9 * std::pow(petaflops_days, 0.73), 2e10 * std::pow(petaflops_days, 0.27)};
}

double kaplan_critical_batch_tokens(double loss) { return 2.1e8 / std::pow(loss, 1 / 0.21); }

Split rule_of_20(Flop compute) {
  const double parameters = std::sqrt(compute.value() / (6 * rule_tokens_per_parameter));
  return {parameters, rule_tokens_per_parameter * parameters};
}

}  // namespace dtcalc::laws
