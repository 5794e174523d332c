// The published scaling laws by name: constants with their source. Called by `dtcalc scaling`, `dtcalc batch` and
// whoever plans for a loss. The equations themselves are in formulas/scaling.hpp.
//
// What N counts differs: Kaplan et al. leave embeddings out, Hoffmann et al. and Besiroglu et al. count all parameters.
// Losses are nats per token of each paper's own tokenizer and corpus, so those of two laws do not compare.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "costmodel/error.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::laws {

/// A fit of (6.1). The five constants of a fit stay together (E09).
struct NamedFit {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  formulas::ChinchillaFit fit;
};

/// `besiroglu` (first: the default of the command line), `hoffmann`, `hoffmann-unrounded`.
std::span<const NamedFit> chinchilla_fits();

/// The error is at `place` and names the nearest fit.
Result<NamedFit> find_fit(std::string_view name, std::string_view place);

/// The compute and tokens for which a model of so many parameters is the best one.
struct FrontierRow {
  double parameters;
  Flop compute;
  double tokens;
};

/// One of the three ways in which Hoffmann et al. 2022 estimate the optimum: N_opt ~ C^a, tokens_opt ~ C^b (table 2,
/// with the 10th and 90th percentile of their bootstrap) and the rows they print.
struct Approach {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  double a, a_low, a_high;
  double b, b_low, b_high;
  std::array<FrontierRow, 9> rows;
};
std::span<const Approach> approaches();

/// Optimal parameters and tokens at a compute, straight lines in the logarithms between the published rows; none
/// outside of the table. Published rows are rounded, so 6 N tokens is `compute` to 7 % only.
struct Split {
  double parameters, tokens;
};
std::optional<Split> at_compute(const Approach& approach, Flop compute);

/// Kaplan et al. 2020, table 6: N_opt = 1.3e9 C^0.73 and tokens = 2e10 C^0.27, C in PFLOP/s-days. Their C is what
/// training at a small batch needs; the tokens are those at the critical batch, which spends twice as much.
Split kaplan_optimum(Flop compute);

/// Kaplan et al. 2020, (5.3) and table 5: B_crit = 2.1e8 tokens / L^(1/0.21), L in nats above 0.
double kaplan_critical_batch_tokens(double loss);

/// 20 tokens per parameter: N = sqrt(C / 120), tokens = 20 N. A rule read off approaches 1 and 2 at the size of
/// Chinchilla, not a law.
constexpr double rule_tokens_per_parameter = 20;
Split rule_of_20(Flop compute);

}  // namespace dtcalc::laws
