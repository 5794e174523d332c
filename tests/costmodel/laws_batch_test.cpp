// Batch size (App. E): the noise estimator against a simulation whose answer is known, the Pareto front and the fastest
// batch against scans, and the step time's line against evaluations.
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/batch.hpp"
#include "costmodel/laws/batch.hpp"
#include "costmodel/laws/batch_report.hpp"
#include "costmodel/laws/noise.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::laws;

namespace {

/// Mean and standard error of many estimates.
struct Spread {
  double sum = 0, squares = 0;
  int count = 0;
  void add(double x) { sum += x, squares += x * x, ++count; }
  double mean() const { return sum / count; }
  double error() const { return std::sqrt((squares / count - mean() * mean()) / (count - 1)); }
};

double random_between(std::mt19937& random, double low, double high) {  // evenly in the logarithm
  return std::exp(std::uniform_real_distribution<double>(std::log(low), std::log(high))(random));
}

NoiseEstimate estimate(double small, double at_small, double big, double at_big) {
  const std::array one{at_small}, two{at_big};
  return estimate_noise({small, one}, {big, two});
}

}  // namespace

TEST_CASE("the noise estimator inverts |g|^2 + Tr Sigma / B", "[laws]") {
  const double g2 = GENERATE(1e-6, 1.0, 300.0), trace = GENERATE(0.5, 1e4);
  const NoiseEstimate found = estimate(4, g2 + trace / 4, 64, g2 + trace / 64);
  // The difference g2 of two numbers of size trace/4: that many roundings.
  CHECK(found.gradient_squared == Approx(g2).margin(1e-14 * trace));
  CHECK(found.trace_sigma == Approx(trace));
  if (g2 >= 1) CHECK(found.b_simple == Approx(trace / g2));
}

TEST_CASE("the noise estimator is unbiased: gradients with a known covariance", "[laws]") {
  // Six weights with means and standard deviations of their per-example gradient; the noise is not normal (uniform).
  constexpr std::array<double, 6> mean{0.5, -0.3, 0.2, 0.1, 0, 0.4}, deviation{1, 2, 0.5, 1.5, 3, 0.1};
  constexpr int small = 4, big = 16, trials = 20000;
  double g2 = 0, trace = 0;
  for (std::size_t i = 0; i < mean.size(); ++i) g2 += mean[i] * mean[i], trace += deviation[i] * deviation[i];
  std::mt19937 random(1812);
  std::uniform_real_distribution<double> noise(-std::sqrt(3.0), std::sqrt(3.0));  // variance 1
  const auto squared_norm = [&](int batch) {
    double norm = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      double sum = 0;
      for (int b = 0; b < batch; ++b) sum += mean[i] + deviation[i] * noise(random);
      norm += (sum / batch) * (sum / batch);
    }
    return norm;
  };
  Spread gradient, sigma, naive;
  std::vector<double> at_small, at_big;
  for (int trial = 0; trial < trials; ++trial) {
    at_small.push_back(squared_norm(small));
    at_big.push_back(squared_norm(big));
    const NoiseEstimate one = estimate(small, at_small.back(), big, at_big.back());
    gradient.add(one.gradient_squared);
    sigma.add(one.trace_sigma);
    naive.add(at_big.back());
  }
  // Five standard errors: once in two million seeds.
  CHECK(std::abs(gradient.mean() - g2) < 5 * gradient.error());
  CHECK(std::abs(sigma.mean() - trace) < 5 * sigma.error());
  CHECK(std::abs(naive.mean() - g2) > 20 * naive.error());  // the norm itself is not |g|^2
  // The means over all trials give B_simple.
  const Result<NoiseEstimate> all = noise_scale({small, at_small}, {big, at_big});
  REQUIRE(all);
  const double share = gradient.error() / g2 + sigma.error() / trace;
  CHECK(std::abs(all->b_simple / (trace / g2) - 1) < 5 * share);
  CHECK(all->gradient_squared == Approx(gradient.mean()));
}

TEST_CASE("norms that say nothing are refused with the reason", "[laws]") {
  const std::array one{1.0}, two{2.0}, bad{-1.0}, infinite{std::numeric_limits<double>::infinity()};
  const auto reason = [](const Result<NoiseEstimate>& result) {
    REQUIRE_FALSE(result);
    CHECK_FALSE(result.errors().front().way_out.empty());
    return result.errors().front().reason;
  };
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(reason(noise_scale({8, two}, {4, one})), ContainsSubstring("smaller and a larger"));
  CHECK_THAT(reason(noise_scale({4, two}, {4, one})), ContainsSubstring("smaller and a larger"));
  CHECK_THAT(reason(noise_scale({4, one}, {8, two})), ContainsSubstring("do not fall"));
  CHECK_THAT(reason(noise_scale({4, one}, {8, one})), ContainsSubstring("do not fall"));
  CHECK_THAT(reason(noise_scale({4, two}, {8, one})), ContainsSubstring("noise alone"));  // 2 = T/4, 1 = T/8
  CHECK_THAT(reason(noise_scale({4, bad}, {8, one})), ContainsSubstring("positive"));
  CHECK_THAT(reason(noise_scale({4, two}, {8, infinite})), ContainsSubstring("positive"));
  CHECK_THAT(reason(noise_scale({4, two}, {8, {}})), ContainsSubstring("positive"));
  CHECK_THAT(reason(noise_scale({std::nan(""), two}, {8, one})), ContainsSubstring("positive"));
}

TEST_CASE("every point of the front lies on (E.6), and scaling the noise scales the batch", "[laws]") {
  std::mt19937 random(6);
  for (int trial = 0; trial < 100; ++trial) {
    const Trade trade{random_between(random, 1, 1e6), random_between(random, 10, 1e6)};
    const double batch = random_between(random, trade.noise_scale / 1e3, trade.noise_scale * 1e3);
    const ParetoPoint p = at_batch(trade, std::nullopt, batch);
    const double E_min = trade.noise_scale * trade.min_steps;
    // S/S_min - 1 loses what is below 1: up to three digits here.
    CHECK((p.steps / trade.min_steps - 1) * (p.examples / E_min - 1) == Approx(1).epsilon(1e-11));
    CHECK(p.examples == Approx(batch * p.steps));
    CHECK(p.steps == Approx((1 + p.alpha) * trade.min_steps));
    CHECK(p.examples == Approx((1 + 1 / p.alpha) * E_min));
    CHECK(p.learning_rate_share == Approx(1 / (1 + p.alpha)));
    const ParetoPoint scaled = at_batch({8 * trade.noise_scale, trade.min_steps}, std::nullopt, 8 * batch);
    CHECK(scaled.steps == Approx(p.steps));
    CHECK(scaled.examples == Approx(8 * p.examples));
    const ParetoPoint longer = at_batch({trade.noise_scale, 3 * trade.min_steps}, std::nullopt, batch);
    CHECK(longer.steps == Approx(3 * p.steps));
  }
  const ParetoPoint critical = at_batch({5000, 1e4}, std::nullopt, 5000);
  CHECK(critical.steps == 2e4);
  CHECK(critical.examples == 2 * 5e7);
}

TEST_CASE("the front is ordered, has each batch once and reaches 32 times around the noise scale", "[laws]") {
  const std::vector<ParetoPoint> front = pareto_front({1000, 1}, std::nullopt, {300, 1024, 1000});
  CHECK(front.front().batch == 32);
  CHECK(front.back().batch == 32768);
  CHECK(front.size() == 13);
  for (std::size_t i = 1; i < front.size(); ++i) {
    CHECK(front[i].batch > front[i - 1].batch);
    CHECK(front[i].steps < front[i - 1].steps);
    CHECK(front[i].examples > front[i - 1].examples);
  }
  CHECK(pareto_front({0.1, 1}, std::nullopt, {}).front().batch == 1);
}

TEST_CASE("no batch is faster than (E.8); the critical one takes at most twice as long (E15)", "[laws]") {
  std::mt19937 random(8);
  for (int trial = 0; trial < 100; ++trial) {
    const Trade trade{random_between(random, 1, 1e6), random_between(random, 10, 1e6)};
    const StepTime step{Seconds(random_between(random, 1e-6, 1)), Seconds(random_between(random, 1e-4, 10))};
    const Fastest best = fastest(trade, step);
    const auto time = [&](double batch) { return at_batch(trade, step, batch).time->value(); };
    CHECK(time(best.batch) == Approx(best.time.value()));
    for (double batch = best.batch / 100; batch < best.batch * 100; batch *= 1.05)
      CHECK(time(batch) >= best.time.value() * (1 - 1e-12));
    CHECK(best.critical.value() == Approx(time(trade.noise_scale)));
    CHECK(best.ratio == Approx(best.critical / best.time));
    CHECK(best.ratio >= 1 - 1e-12);
    CHECK(best.ratio <= 2);
    // Time is steps times a step; another unit of time changes no batch.
    CHECK(time(50) ==
          Approx(at_batch(trade, step, 50).steps * (step.per_example.value() * 50 + step.per_step.value())));
    const StepTime minutes{step.per_example / 60.0, step.per_step / 60.0};
    CHECK(fastest(trade, minutes).batch == Approx(best.batch));
    CHECK(fastest(trade, minutes).ratio == Approx(best.ratio));
  }
  CHECK(fastest({500, 1}, {Seconds(1e-3), Seconds(0.5)}).ratio == Approx(1));  // kappa B_noise = sigma
}

TEST_CASE("kappa and sigma are the slope and the constant of the scenario's own step time", "[laws]") {
  Scenario s = test::training_scenario(test::small_model(), test::cpu_software());
  s.hardware.launch_overhead = Seconds(1e-6);
  s.training.micro_batch = 2, s.training.global_batch = GENERATE(2, 8);
  const StepTimeFit fit = step_time_of(s);
  REQUIRE(fit.samples.size() == 4);
  CHECK(fit.samples[2].batch == static_cast<double>(3 * s.training.global_batch));
  CHECK(fit.samples[0].step == evaluate(s, true).step);
  CHECK(fit.largest_deviation < 1e-9);
  // Any other batch lies on the line.
  s.training.global_batch = 40;
  CHECK(fit.line.per_example.value() * 40 + fit.line.per_step.value() == Approx(evaluate(s, true).step.value()));
  // What a step costs once is the optimizer and its launches.
  s.training.global_batch = 2;
  const Totals totals = evaluate(s, true);
  CHECK(fit.line.per_step >= totals.optimizer * (1 - 1e-9));
  CHECK(fit.line.per_step < totals.step);
}

TEST_CASE("a batch report marks the special batches and derives S_min from a run", "[laws]") {
  BatchQuestion q;
  q.noise_scale = 5000;
  q.run = KnownRun{300, 176666.66666666666};
  q.step = StepTimeFit{{Seconds(1e-3), Seconds(0.5)}, {}, 0};
  q.learning_rate = 1e-3;
  const BatchReport report = batch_report(q);
  CHECK(report.min_steps == Approx(1e4));
  CHECK(report.fastest->time.value() == Approx(86622.7766016838));  // E15's example
  int marked = 0;
  for (const MarkedPoint& p : report.front) {
    if (p.mark == "yours") {
      CHECK(p.at.steps == Approx(q.run->steps));
      CHECK(p.learning_rate.value() == Approx(1e-3));
      ++marked;
    }
    if (p.mark == "critical") {
      CHECK(p.at.time->value() == Approx(110000));
      CHECK(p.over_fastest.value() == Approx(report.fastest->ratio));
      ++marked;
    }
    if (p.mark == "fastest") {
      CHECK(p.over_fastest.value() == Approx(1));
      ++marked;
    }
    CHECK(p.over_fastest.value() >= 1 - 1e-12);
    CHECK_FALSE(p.loss_drop);
  }
  CHECK(marked == 3);

  q.run.reset(), q.batch = 5000;
  q.noise = NoiseEstimate{2, 1e4, 5000};
  const BatchReport relative = batch_report(q);
  CHECK_FALSE(relative.steps_known);
  for (const MarkedPoint& p : relative.front) {
    CHECK_FALSE(p.at.time);
    CHECK(p.over_fastest);  // needs no S_min
    if (p.mark == "critical, yours") {
      CHECK(p.at.steps == 2);
      // eta_max is twice the rate at B = B_noise, and half of it is left there: (1/2) 2e-3 2 / 2.
      CHECK(p.loss_drop.value() == Approx(1e-3));
      ++marked;
    }
  }
  CHECK(marked == 4);
}
