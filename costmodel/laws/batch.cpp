#include "costmodel/laws/batch.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/batch.hpp"

namespace dtcalc::laws {

StepTimeFit step_time_of(const Scenario& scenario) {
  constexpr std::array<std::int64_t, 4> multiples{1, 2, 3, 4};
  StepTimeFit fit;
  Scenario varied = scenario;
  double mean_batch = 0, mean_step = 0;
  for (const std::int64_t multiple : multiples) {
    varied.training.global_batch = multiple * scenario.training.global_batch;
    const StepSample sample{static_cast<double>(varied.training.global_batch), evaluate(varied, true).step};
    mean_batch += sample.batch / multiples.size();
    mean_step += sample.step.value() / multiples.size();
    fit.samples.push_back(sample);
  }
  double covariance = 0, variance = 0;
  for (const StepSample& sample : fit.samples) {
    covariance += (sample.batch - mean_batch) * (sample.step.value() - mean_step);
    variance += (sample.batch - mean_batch) * (sample.batch - mean_batch);
  }
  const double slope = covariance / variance;
  // A step without any constant part would leave the rounding of the sums, of either sign.
  const double constant = std::max(0.0, mean_step - slope * mean_batch);
  fit.line = {Seconds(slope), Seconds(constant)};
  for (const StepSample& sample : fit.samples)
    fit.largest_deviation = std::max(
        fit.largest_deviation, std::abs(slope * sample.batch + constant - sample.step.value()) / sample.step.value());
  return fit;
}

ParetoPoint at_batch(const Trade& trade, const std::optional<StepTime>& time, double batch) {
  ParetoPoint point;
  point.batch = batch;
  point.alpha = trade.noise_scale / batch;
  point.steps = formulas::sgd_steps(trade.min_steps, batch, trade.noise_scale);
  point.examples = formulas::sgd_examples(trade.min_steps, batch, trade.noise_scale);
  point.learning_rate_share = formulas::eq_E_3_learning_rate(1, batch, trade.noise_scale);
  if (time)
    point.time = Seconds(formulas::eq_E_7_time(batch, trade.min_steps, trade.noise_scale * trade.min_steps,
                                               time->per_example.value(), time->per_step.value()));
  return point;
}

std::vector<ParetoPoint> pareto_front(const Trade& trade, const std::optional<StepTime>& time,
                                      std::vector<double> others) {
  constexpr int octaves = 5;
  const int middle = static_cast<int>(std::lround(std::log2(trade.noise_scale)));
  for (int k = std::max(0, middle - octaves); k <= middle + octaves; ++k) others.push_back(std::ldexp(1.0, k));
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  std::vector<ParetoPoint> front;
  front.reserve(others.size());
  for (const double batch : others) front.push_back(at_batch(trade, time, batch));
  return front;
}

Fastest fastest(const Trade& trade, const StepTime& step) {
  const double E_min = trade.noise_scale * trade.min_steps, kappa = step.per_example.value(),
               sigma = step.per_step.value();
  return {formulas::eq_E_8_batch(trade.min_steps, E_min, kappa, sigma),
          Seconds(formulas::eq_E_9_t_min(trade.min_steps, E_min, kappa, sigma)),
          Seconds(formulas::t_crit(trade.min_steps, E_min, kappa, sigma)),
          formulas::t_crit_over_t_min(trade.noise_scale, kappa, sigma)};
}

}  // namespace dtcalc::laws
