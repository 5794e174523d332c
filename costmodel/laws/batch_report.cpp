#include "costmodel/laws/batch_report.hpp"

#include "costmodel/formulas/batch.hpp"

namespace dtcalc::laws {

BatchReport batch_report(const BatchQuestion& q) {
  BatchReport report;
  report.question = q;
  const double Bn = q.noise_scale;
  if (q.min_steps)
    report.min_steps = *q.min_steps;
  else if (q.run)
    report.min_steps = q.run->steps / formulas::sgd_steps(1, q.run->batch, Bn);
  report.steps_known = q.min_steps || q.run;

  const Trade trade{Bn, report.min_steps};
  std::optional<StepTime> step;
  if (q.step) step = q.step->line;
  if (step && step->per_step.value() > 0) report.fastest = fastest(trade, *step);
  const std::optional<double> yours = q.run ? std::optional(q.run->batch) : q.batch;

  std::vector<double> special{Bn};
  if (report.fastest) special.push_back(report.fastest->batch);
  if (yours) special.push_back(*yours);
  // The rate known at one batch gives that of a batch without noise.
  std::optional<double> eta_max;
  if (q.learning_rate && yours) eta_max = *q.learning_rate / formulas::eq_E_3_learning_rate(1, *yours, Bn);

  for (const ParetoPoint& at : pareto_front(trade, step, special)) {
    MarkedPoint point;
    point.at = at;
    if (report.fastest) point.over_fastest = *at.time / report.fastest->time;
    if (!report.steps_known) point.at.time.reset();  // it would be that of a single least step
    const auto mark = [&](bool is, const char* word) {
      if (is) point.mark += (point.mark.empty() ? "" : ", ") + std::string(word);
    };
    mark(at.batch == Bn, "critical");
    mark(report.fastest && at.batch == report.fastest->batch, "fastest");
    mark(yours && at.batch == *yours, "yours");
    if (eta_max) point.learning_rate = formulas::eq_E_3_learning_rate(*eta_max, at.batch, Bn);
    if (eta_max && q.noise)
      point.loss_drop = formulas::eq_E_5_loss_drop(*eta_max, q.noise->gradient_squared, at.batch, Bn);
    report.front.push_back(std::move(point));
  }
  return report;
}

}  // namespace dtcalc::laws
