#include "costmodel/plan/loss.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>

namespace dtcalc {
namespace {

/// A model and the least time that a token of it takes on all devices.
struct Sized {
  Model model;
  Parameters parameters{0};
  double least_seconds_per_token = 0;
};

/// One sequence with the pairs that causality leaves: no kernel multiplies less.
Sized sized(const Scenario& scenario, const Model& model) {
  Scenario s = scenario;
  s.model = model;
  s.training.parallel = {};
  s.training.micro_batch = 1;
  s.training.global_batch = devices(s.cluster);
  s.training.causal_flop = CausalFlop::half;
  const Totals totals = evaluate(s, Work::training);
  const double at_peak = totals.model_flop.value() * sizes_of(s, Work::training).seconds_per_flop;
  Sized result{model, totals.parameters, 0};
  // Measured products may be faster than the profile's peak.
  if (s.hardware.products.empty())
    result.least_seconds_per_token =
        at_peak / static_cast<double>(devices(s.cluster)) / static_cast<double>(totals.tokens.value());
  return result;
}

auto order(const LossCandidate& c) { return std::make_tuple(c.at.loss, c.parameters.value(), c.global_batch); }

class LossSearch {
 public:
  LossSearch(const Scenario& scenario, const LossGoal& goal, const SearchOptions& options)
      : scenario_(scenario), goal_(goal), options_(options), wanted_(static_cast<std::size_t>(options.best)) {}

  LossPlan run(const std::vector<Model>& models, const std::vector<std::int64_t>& batches) {
    const auto start = std::chrono::steady_clock::now();
    struct Pair {
      Sized model;
      std::int64_t batch;
      double bound;
    };
    std::vector<Pair> pairs;
    for (const Model& model : models) {
      const Sized s = sized(scenario_, model);
      for (const std::int64_t batch : batches) pairs.push_back({s, batch, bound(s, batch)});
    }
    plan_.pairs = static_cast<std::int64_t>(pairs.size());
    // The most promising first, so that the others can be skipped.
    std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.bound < b.bound; });
    for (std::size_t i = 0; i < pairs.size() && !plan_.stopped; ++i) {
      if (options_.progress) options_.progress(static_cast<double>(i) / static_cast<double>(pairs.size()));
      const bool hopeless = plan_.best.size() == wanted_ && pairs[i].bound > plan_.best.back().at.loss;
      if (hopeless || !std::isfinite(pairs[i].bound))
        ++plan_.skipped;
      else
        consider(pairs[i].model, pairs[i].batch);
    }
    plan_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(plan_);
  }

 private:
  double tokens_of(std::int64_t batch) const { return static_cast<double>(batch * scenario_.training.sequence); }

  /// The loss if every step ran at peak: none is lower. Infinite when the batch is hopeless.
  double bound(const Sized& model, std::int64_t batch) const {
    const double n = static_cast<double>(model.parameters.value()), each = model.least_seconds_per_token;
    if (!(each > 0)) return formulas::eq_6_1_loss(goal_.fit.fit, n, INFINITY);
    const auto at =
        laws::loss_at_batch(goal_.fit.fit, n, goal_.deadline.value() / each, tokens_of(batch), goal_.critical_tokens);
    return at ? at->loss : INFINITY;
  }

  void consider(const Sized& model, std::int64_t batch) {
    Scenario s = scenario_;
    s.model = model.model;
    s.training.global_batch = batch;
    SearchOptions fastest = options_;
    fastest.best = 1;
    fastest.progress = nullptr;
    const SearchResult found = search_layouts(s, fastest);
    plan_.layouts += found.layouts;
    plan_.stopped = found.stopped;
    if (found.stopped || found.best.empty()) return;
    LossCandidate c{model.model, model.parameters, batch, found.best.front(), 0, 0, {}};
    c.steps = std::floor(goal_.deadline / c.layout.totals.step);
    c.tokens = c.steps * tokens_of(batch);
    if (!(c.tokens > 0)) return;
    const auto at = laws::loss_at_batch(goal_.fit.fit, static_cast<double>(c.parameters.value()), c.tokens,
                                        tokens_of(batch), goal_.critical_tokens);
    if (!at) return;
    c.at = *at;
    const auto place =
        std::lower_bound(plan_.best.begin(), plan_.best.end(), c,
                         [](const LossCandidate& a, const LossCandidate& b) { return order(a) < order(b); });
    plan_.best.insert(place, std::move(c));
    if (plan_.best.size() > wanted_) plan_.best.pop_back();
  }

  const Scenario& scenario_;
  const LossGoal& goal_;
  const SearchOptions& options_;
  std::size_t wanted_;
  LossPlan plan_;
};

}  // namespace

LossPlan plan_for_loss(const Scenario& scenario, const LossGoal& goal, const std::vector<Model>& models,
                       const std::vector<std::int64_t>& batches, const SearchOptions& options) {
  return LossSearch(scenario, goal, options).run(models, batches);
}

}  // namespace dtcalc
