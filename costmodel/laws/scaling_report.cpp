#include "costmodel/laws/scaling_report.hpp"

#include <fmt/format.h>

#include <cmath>

#include "costmodel/formulas/time.hpp"
#include "costmodel/laws/words.hpp"

namespace dtcalc::laws {
namespace {

/// The point that the question describes, and how.
struct Resolved {
  std::optional<Allocation> point;
  std::string how;
};

Result<Resolved> of(const Result<Allocation>& found, const char* how) {
  if (!found) return found.errors();
  return Resolved{*found, how};
}

Result<Resolved> resolve(const ScalingQuestion& q) {
  const formulas::ChinchillaFit& fit = q.fit.fit;
  if (q.loss && q.compute)
    return Error{"loss", "", "and a compute leave a smaller and a larger model to choose from",
                 "give the loss alone, or with the parameters or the tokens"};
  if (q.parameters && q.tokens && (q.loss || q.compute))
    return Error{q.loss ? "loss" : "compute", "", "follows from the parameters and tokens that are given too",
                 "give two of the three"};
  if (q.loss && q.parameters)
    return of(with_tokens_for_loss(fit, *q.parameters, *q.loss), "the tokens that these parameters need for this loss");
  if (q.loss && q.tokens)
    return of(with_parameters_for_loss(fit, *q.tokens, *q.loss), "the parameters that these tokens need for this loss");
  if (q.loss) return of(optimum_for_loss(fit, *q.loss), "the least compute that reaches this loss");
  if (q.parameters && q.tokens)
    return Resolved{allocation(fit, *q.parameters, *q.tokens), "parameters and tokens as given"};
  if (q.compute && q.parameters)
    return Resolved{allocation(fit, *q.parameters, q.compute->value() / 6 / *q.parameters),
                    "the tokens that this compute buys these parameters"};
  if (q.compute && q.tokens)
    return Resolved{allocation(fit, q.compute->value() / 6 / *q.tokens, *q.tokens),
                    "the parameters that this compute can train on these tokens"};
  if (q.compute) return Resolved{optimum(fit, *q.compute), "the best split of this compute"};
  if (q.parameters)
    return Resolved{optimum_with_parameters(fit, *q.parameters), "the tokens for which these parameters are best"};
  if (q.tokens) return Resolved{optimum_with_tokens(fit, *q.tokens), "the parameters for which these tokens are best"};
  return Resolved{};
}

/// A point far from every experiment is still a point; less than one parameter or token is none.
std::optional<Error> impossible(const ScalingQuestion& q, const Allocation& a) {
  const char* place = q.loss ? "loss" : q.compute ? "compute" : q.parameters ? "parameters" : "tokens";
  if (!(a.parameters >= 1 && a.tokens >= 1))
    return Error{place, "", fmt::format("means {:.4g} parameters on {:.4g} tokens", a.parameters, a.tokens),
                 "ask for at least one of each"};
  if (!std::isfinite(compute_of(a).value()) || !std::isfinite(a.loss))
    return Error{place, "", "means a compute beyond what a double holds", "ask for less"};
  return std::nullopt;
}

std::vector<LawLoss> losses_of(const Allocation& a, double non_embedding) {
  std::vector<LawLoss> losses;
  for (const NamedFit& fit : chinchilla_fits())
    losses.push_back({fit.name, fit.title, formulas::eq_6_1_loss(fit.fit, a.parameters, a.tokens)});
  losses.push_back({"kaplan-parameters", "endless data, no limit of compute; N without embeddings",
                    formulas::kaplan_loss_N(non_embedding)});
  losses.push_back({"kaplan-tokens", "endless parameters, stopped early", formulas::kaplan_loss_D(a.tokens)});
  losses.push_back(
      {"kaplan-compute", "best split of the compute at a small batch", formulas::kaplan_loss_C(compute_of(a).value())});
  return losses;
}

std::vector<OptimumRow> optima_at(Flop compute, const NamedFit& chosen) {
  std::vector<OptimumRow> rows;
  const auto add_fit = [&](const NamedFit& fit) {
    const Allocation best = optimum(fit.fit, compute);
    rows.push_back({fit.name, fit.title, fit.source, best.parameters, best.tokens, best.loss});
  };
  add_fit(chosen);
  for (const NamedFit& fit : chinchilla_fits())
    if (fit.name != chosen.name) add_fit(fit);
  for (const Approach& approach : approaches())
    if (const std::optional<Split> split = at_compute(approach, compute))
      rows.push_back({approach.name, approach.title, approach.source, split->parameters, split->tokens, std::nullopt});
  const Split kaplan = kaplan_optimum(compute);
  rows.push_back({"kaplan", "N without embeddings; tokens at the critical batch", "Kaplan et al. 2020, table 6",
                  kaplan.parameters, kaplan.tokens, std::nullopt});
  const Split rule = rule_of_20(compute);
  rows.push_back({"rule-of-20", "20 tokens per parameter", "(5.3)", rule.parameters, rule.tokens, std::nullopt});
  return rows;
}

RunRow run_of(const Allocation& a, const Speed& speed, const Prices& prices) {
  RunRow run;
  const Seconds time = speed.tokens_per_s ? Seconds(a.tokens / speed.tokens_per_s->value())
                                          : formulas::eq_5_2_train_time(a.parameters, a.tokens, speed.flop_rate,
                                                                        speed.devices, speed.mfu);
  run.cost = run_cost(time, speed.devices, prices);
  run.tokens_per_s = TokensPerSecond(a.tokens / time.value());
  run.origin = speed.origin;
  return run;
}

std::vector<RatePoint> schedule_of(const Schedule& s) {
  constexpr int parts = 8;  // of the cosine
  std::vector<double> steps;
  if (s.warmup_steps > 0) steps = {0, std::floor(s.warmup_steps / 2)};
  for (int i = 0; i <= parts; ++i) steps.push_back(std::round(s.warmup_steps + (s.steps - s.warmup_steps) * i / parts));
  std::vector<RatePoint> points;
  for (const double step : steps)
    if (points.empty() || step > points.back().step)
      points.push_back(
          {step, formulas::cosine_lr(step, s.warmup_steps, s.steps, s.final_learning_rate, s.learning_rate)});
  return points;
}

}  // namespace

Result<ScalingReport> scaling_report(const ScalingQuestion& q) {
  ScalingReport report;
  report.fit = q.fit;
  const Result<Resolved> resolved = resolve(q);
  if (!resolved) return resolved.errors();
  if (resolved->point) {
    const Allocation& point = *resolved->point;
    if (const std::optional<Error> error = impossible(q, point)) return *error;
    report.point = point;
    report.how = resolved->how;
    report.non_embedding = q.non_embedding.value_or(point.parameters);
    report.losses = losses_of(point, report.non_embedding);
    const Flop compute = compute_of(point);
    report.optima = optima_at(compute, q.fit);
    report.searched = optimum_by_search(q.fit.fit, compute);
    if (q.tokens_used) {
      const Result<LifetimeOptimum> lifetime = lifetime_optimum(q.fit.fit, point.loss, *q.tokens_used);
      if (!lifetime) return lifetime.errors();
      report.lifetime = *lifetime;
      report.tokens_used = *q.tokens_used;
    }
    if (q.speed) report.run = run_of(point, *q.speed, q.prices);
  }
  for (const Flop compute : q.isoflop) {
    const std::vector<IsoflopPoint> curve = isoflop_curve(q.fit.fit, compute, q.points);
    report.isoflop.insert(report.isoflop.end(), curve.begin(), curve.end());
  }
  if (q.schedule) report.schedule = schedule_of(*q.schedule);
  return report;
}

}  // namespace dtcalc::laws
