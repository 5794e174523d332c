#include "costmodel/laws/scaling.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace dtcalc::laws {
namespace {

using formulas::ChinchillaFit;

/// Least value of `f` on [low, high], which has one minimum there: the abscissa.
template <class F>
double golden_section(F f, double low, double high) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double a = high - ratio * (high - low), b = low + ratio * (high - low), fa = f(a), fb = f(b);
  while (high - low > 1e-9) {
    if (fa < fb) {
      high = b, b = a, fb = fa;
      a = high - ratio * (high - low), fa = f(a);
    } else {
      low = a, a = b, fa = fb;
      b = low + ratio * (high - low), fb = f(b);
    }
  }
  return (low + high) / 2;
}

/// x of scale / x^exponent = rest.
double solve_power(double scale, double exponent, double rest) { return std::pow(scale / rest, 1 / exponent); }

/// Why no x gives the loss, or that the x is beyond doubles.
Error unreachable(double loss, double floor, const std::string& of) {
  const bool above = loss > floor;
  return {"loss", fmt::format("{} nat", loss),
          above ? fmt::format("is so close to {:.6g} nat, the least {}, that what it needs is out of range", floor, of)
                : fmt::format("is not above {:.6g} nat, the least {}", floor, of),
          fmt::format("ask for more than {:.6g} nat", floor)};
}

/// The solution, or the reason that there is none.
Result<double> solution(double scale, double exponent, double loss, double floor, const std::string& of) {
  if (!(loss > floor)) return unreachable(loss, floor, of);
  const double x = solve_power(scale, exponent, loss - floor);
  if (!std::isfinite(x)) return unreachable(loss, floor, of);
  if (x < 1)
    return Error{"loss", fmt::format("{} nat", loss), "is what the law gives less than one parameter or token",
                 fmt::format("ask for less than {:.6g} nat", floor + scale)};
  return x;
}

constexpr double widest = 32;  // a curve reaches from N/32 to 32 N

}  // namespace

Allocation allocation(const ChinchillaFit& fit, double parameters, double tokens) {
  return {parameters, tokens, formulas::eq_6_1_loss(fit, parameters, tokens)};
}

Flop compute_of(const Allocation& a) { return Flop(6 * a.parameters * a.tokens); }

Allocation optimum(const ChinchillaFit& fit, Flop compute) {
  const formulas::ChinchillaOptimum best = formulas::chinchilla_optimum(fit, compute.value());
  return {best.N, best.tokens, best.loss};
}

Allocation optimum_by_search(const ChinchillaFit& fit, Flop compute) {
  const double product = compute.value() / 6;
  const auto at = [&](double ln_N) { return allocation(fit, std::exp(ln_N), product / std::exp(ln_N)); };
  // From e^50 times more tokens than parameters (N = e^-25 sqrt(C/6)) to the reverse.
  const double middle = std::log(product) / 2;
  return at(golden_section([&](double ln_N) { return at(ln_N).loss; }, middle - 25, middle + 25));
}

Allocation optimum_with_parameters(const ChinchillaFit& fit, double parameters) {
  const double term = fit.alpha * fit.A / std::pow(parameters, fit.alpha);
  return allocation(fit, parameters, solve_power(fit.beta * fit.B, fit.beta, term));
}

Allocation optimum_with_tokens(const ChinchillaFit& fit, double tokens) {
  const double term = fit.beta * fit.B / std::pow(tokens, fit.beta);
  return allocation(fit, solve_power(fit.alpha * fit.A, fit.alpha, term), tokens);
}

Result<Allocation> optimum_for_loss(const ChinchillaFit& fit, double loss) {
  // At the optimum B tokens^-beta = (alpha/beta) A N^-alpha.
  const Result<double> parameters =
      solution(fit.A * (1 + fit.alpha / fit.beta), fit.alpha, loss, fit.E, "that any model reaches (E)");
  if (!parameters) return parameters.errors();
  const Allocation best = optimum_with_parameters(fit, *parameters);
  if (!std::isfinite(compute_of(best).value())) return unreachable(loss, fit.E, "that any model reaches (E)");
  return best;
}

Result<Allocation> with_tokens_for_loss(const ChinchillaFit& fit, double parameters, double loss) {
  const double floor = fit.E + fit.A / std::pow(parameters, fit.alpha);
  const Result<double> tokens =
      solution(fit.B, fit.beta, loss, floor, fmt::format("that {:.4g} parameters reach with endless data", parameters));
  if (!tokens) return tokens.errors();
  return allocation(fit, parameters, *tokens);
}

Result<Allocation> with_parameters_for_loss(const ChinchillaFit& fit, double tokens, double loss) {
  const double floor = fit.E + fit.B / std::pow(tokens, fit.beta);
  const Result<double> parameters =
      solution(fit.A, fit.alpha, loss, floor, fmt::format("that any model reaches on {:.4g} tokens", tokens));
  if (!parameters) return parameters.errors();
  return allocation(fit, *parameters, tokens);
}

std::vector<IsoflopPoint> isoflop_curve(const ChinchillaFit& fit, Flop compute, int points) {
  const double best = optimum(fit, compute).parameters;
  const int half = points / 2;
  std::vector<IsoflopPoint> curve;
  for (int i = -half; i <= half; ++i) {
    const double parameters = best * std::pow(widest, static_cast<double>(i) / half);
    curve.push_back({compute, allocation(fit, parameters, compute.value() / 6 / parameters), i == 0});
  }
  return curve;
}

Result<LifetimeOptimum> lifetime_optimum(const ChinchillaFit& fit, double loss, double tokens_used) {
  const Result<Allocation> trained = optimum_for_loss(fit, loss);
  if (!trained) return trained.errors();
  // Use makes small models better, so the best has at most the parameters of the optimum for training, and more than
  // the least that reach the loss at all.
  const double least = solve_power(fit.A, fit.alpha, loss - fit.E), most = trained->parameters;
  const auto lifetime = [&](double ln_N) {
    LifetimeOptimum found;
    const Result<Allocation> at = with_tokens_for_loss(fit, std::exp(ln_N), loss);
    if (!at) return LifetimeOptimum{{}, Flop(std::numeric_limits<double>::infinity()), Flop(0)};
    found.at = *at;
    found.training = compute_of(*at);
    found.inference = Flop(2 * at->parameters * tokens_used);
    return found;
  };
  const auto cost = [&](double ln_N) {
    const LifetimeOptimum at = lifetime(ln_N);
    return (at.training + at.inference).value();
  };
  return lifetime(golden_section(cost, std::log(least), std::log(most)));
}

}  // namespace dtcalc::laws
