// The plan for the lowest loss against a search that tries everything and shares no code with it but evaluate and the
// law.
#include "costmodel/plan/loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "costmodel/plan/family.hpp"
#include "costmodel/scenario/check.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario on_four_devices() {
  Scenario s = training_scenario(divisible_model(), notes_software());
  s.cluster.devices_per_node = 4;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  s.hardware.memory = Bytes(40 << 20);
  return s;
}

Model sized(std::int64_t layers, std::int64_t heads) {
  Model m = divisible_model();
  m.layers = layers;
  m.heads = m.kv_heads = heads;
  m.hidden_size = 12 * heads;
  m.mlp_size = 48 * heads;
  return m;
}

const std::vector<Model> kModels{sized(2, 4), sized(4, 8), sized(4, 16), sized(8, 32)};
const std::vector<std::int64_t> kBatches{4, 16, 64};
const LossGoal kGoal{laws::chinchilla_fits().front(), Seconds(20), {}};

/// The fastest step of every layout that the loader accepts and that fits, by brute force; infinite if none.
double fastest_step(Scenario s) {
  double best = INFINITY;
  Parallel& p = s.training.parallel;
  for (p.tensor = 1; p.tensor <= 4; ++p.tensor)
    for (int saves = 0; saves < 3; ++saves)
      for (p.context = 1; p.context <= 4; ++p.context)
        for (p.pipeline = 1; p.pipeline <= 4; ++p.pipeline)
          for (p.virtual_stages = 1; p.virtual_stages <= 4; ++p.virtual_stages)
            for (PipelineSchedule schedule : {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b,
                                              PipelineSchedule::interleaved, PipelineSchedule::zero_bubble})
              for (s.training.micro_batch = 1; s.training.micro_batch <= 16; s.training.micro_batch *= 2) {
                p.schedule = schedule;
                p.sequence = saves > 0, p.save_full_inputs = saves > 1;
                // The search takes P that divides the layers, and one schedule where there is no pipeline.
                if (s.model.layers % p.pipeline != 0) continue;
                if (p.pipeline == 1 && (schedule != PipelineSchedule::one_f_one_b || p.virtual_stages > 1)) continue;
                std::vector<Error> errors;
                check(s, {}, errors);
                if (!errors.empty()) continue;
                for (p.zero = 0; p.zero <= 3; ++p.zero)
                  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
                    s.training.recompute = recompute;
                    const Totals t = evaluate(s, Work::training);
                    if (t.total <= s.hardware.memory) best = std::min(best, t.step.value());
                  }
                p.zero = 0;
              }
  return best;
}

/// The least L with L = E + A/N^alpha + B/(tokens/(1 + batch/B_crit(L)))^beta by walking up in small steps; infinite if
/// none below 12 nats.
double loss_by_scan(double n, double tokens, double batch) {
  const formulas::ChinchillaFit& f = kGoal.fit.fit;
  const double step = 1e-4;
  for (double loss = f.E; loss < 12; loss += step) {
    const double critical = 2.1e8 / std::pow(loss, 1 / 0.21);
    const double worth = tokens / (1 + batch / critical);
    if (loss >= f.E + f.A / std::pow(n, f.alpha) + f.B / std::pow(worth, f.beta)) return loss;
  }
  return INFINITY;
}

}  // namespace

TEST_CASE("parameters, tokens, batch and layout of the lowest loss are those that trying everything finds") {
  Scenario s = on_four_devices();
  SearchOptions options;
  options.best = 3;
  const LossPlan plan = plan_for_loss(s, kGoal, kModels, kBatches, options);
  struct Tried {
    double loss;
    std::int64_t hidden, batch;
    double step, tokens;
  };
  std::vector<Tried> all;
  for (const Model& m : kModels)
    for (const std::int64_t batch : kBatches) {
      s.model = m;
      s.training.global_batch = batch;
      const double step = fastest_step(s);
      if (!std::isfinite(step)) continue;
      const double tokens = std::floor(20 / step) * static_cast<double>(batch * 64);
      const double n = static_cast<double>(evaluate(s, Work::training).parameters.value());
      all.push_back({loss_by_scan(n, tokens, static_cast<double>(batch * 64)), m.hidden_size, batch, step, tokens});
    }
  REQUIRE(all.size() >= 6);
  std::sort(all.begin(), all.end(), [](const Tried& a, const Tried& b) { return a.loss < b.loss; });
  REQUIRE(plan.best.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const LossCandidate& c = plan.best[i];
    CAPTURE(i, all[i].loss, c.at.loss, all[i].hidden, all[i].batch);
    CHECK(c.model.hidden_size == all[i].hidden);
    CHECK(c.global_batch == all[i].batch);
    CHECK(c.layout.totals.step.value() == all[i].step);
    CHECK(c.tokens == all[i].tokens);
    CHECK(std::abs(c.at.loss - all[i].loss) <= 1e-4);  // the scan's step
  }
  CHECK(plan.pairs == 12);
}

TEST_CASE("what is skipped could not have been among the best") {
  const Scenario s = on_four_devices();
  SearchOptions few, all;
  few.best = 2;
  all.best = 1000;
  std::int64_t skipped = 0;
  LossPlan whole;
  // From seconds, where the smallest model is the best, to years, where the largest is.
  for (const double deadline : {0.5, 20.0, 1e4, 1e6, 1e8}) {
    LossGoal goal = kGoal;
    goal.deadline = Seconds(deadline);
    goal.critical_tokens = 1000;  // so that batches matter
    const LossPlan best = plan_for_loss(s, goal, kModels, kBatches, few);
    whole = plan_for_loss(s, goal, kModels, kBatches, all);
    skipped += best.skipped;
    CHECK(whole.skipped == 0);
    REQUIRE(whole.best.size() >= 6);
    for (std::size_t i = 0; i < 2; ++i) {
      CAPTURE(deadline, i);
      CHECK(best.best[i].at.loss == whole.best[i].at.loss);
      CHECK(best.best[i].global_batch == whole.best[i].global_batch);
    }
  }
  CHECK(skipped > 0);
  for (std::size_t i = 1; i < whole.best.size(); ++i) CHECK(whole.best[i - 1].at.loss <= whole.best[i].at.loss);
  // The bound that skips: no step is shorter than its products at the peak of all devices.
  for (const LossCandidate& c : whole.best) {
    Scenario half = s;
    half.model = c.model;
    half.training.global_batch = c.global_batch;
    half.training.causal_flop = CausalFlop::half;
    const Totals t = evaluate(with_layout(half, c.layout), Work::training);
    CHECK(t.step.value() >= t.model_flop.value() / (4 * 312e12));
  }
}

TEST_CASE("the loss at a batch solves its own equation and is the law's at a small batch") {
  const formulas::ChinchillaFit& fit = kGoal.fit.fit;
  const double n = 7e9, tokens = 1e12;
  double before = 0;
  for (const double batch : {1.0, 1e5, 1e6, 1e7}) {
    const auto at = laws::loss_at_batch(fit, n, tokens, batch, {});
    REQUIRE(at);
    CHECK(at->loss > before);
    CHECK(std::abs(at->critical_tokens / laws::kaplan_critical_batch_tokens(at->loss) - 1) <= 1e-12);
    CHECK(std::abs(at->effective_tokens - tokens / (1 + batch / at->critical_tokens)) <= 1e-6);
    CHECK(std::abs(formulas::eq_6_1_loss(fit, n, at->effective_tokens) - at->loss) <= 1e-12);
    before = at->loss;
  }
  CHECK(std::abs(laws::loss_at_batch(fit, n, tokens, 1, {})->loss - formulas::eq_6_1_loss(fit, n, tokens)) <= 1e-6);
  // (E.6): at the critical batch half of the tokens count.
  CHECK(laws::loss_at_batch(fit, n, tokens, 1e6, 1e6)->effective_tokens == tokens / 2);
  CHECK_FALSE(laws::loss_at_batch(fit, n, 1e3, 1e12, {}));
}

TEST_CASE("a family keeps the shape of its model and loads") {
  Scenario s = on_four_devices();
  s.training.micro_batch = 1;
  s.training.global_batch = 4;
  for (const std::int64_t kv_heads : {1, 4, 8}) {
    s.model = divisible_model();
    s.model.kv_heads = kv_heads;
    const Model shape = s.model;
    const std::vector<Model> family = model_family(shape);
    CHECK(family.size() >= 20);
    CHECK(std::any_of(family.begin(), family.end(), [&](const Model& m) { return m.layers == shape.layers; }));
    for (const Model& m : family) {
      s.model = m;
      std::vector<Error> errors;
      check(s, {}, errors);
      CAPTURE(m.heads, m.kv_heads, m.hidden_size, describe(errors));
      CHECK(errors.empty());
      CHECK(m.head_size == shape.head_size);
      CHECK(m.hidden_size * shape.heads == m.heads * shape.hidden_size);
      CHECK((kv_heads == 8 ? m.kv_heads == m.heads : m.kv_heads <= kv_heads));
    }
  }
}

TEST_CASE("batches divide over any number of devices") {
  for (const std::int64_t devices : {1, 8, 1000, 1536}) {
    const std::vector<std::int64_t> batches = batch_ladder(devices, 2048);
    CHECK(std::is_sorted(batches.begin(), batches.end()));
    CHECK(batches.back() * 2048 <= 1 << 24);
    CHECK(std::any_of(batches.begin(), batches.end(), [&](std::int64_t b) { return b % devices == 0; }));
  }
}
