// Batch size against steps, examples and time (App. E): the Pareto front of (E.6), the fastest batch, and the step
// time's two constants from evaluations of a scenario. Called by `dtcalc batch` and by plans for a loss. The equations
// are in formulas/batch.hpp; an example is a sequence.
#pragma once

#include <optional>
#include <vector>

#include "costmodel/scenario/scenario.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::laws {

/// A step over B examples takes kappa B + sigma, (E.7).
struct StepTime {
  Seconds per_example{0};  ///< kappa
  Seconds per_step{0};     ///< sigma
};

/// An evaluation that the line was put through.
struct StepSample {
  double batch = 0;
  Seconds step{0};
};

/// kappa and sigma of a scenario: the line of least squares through the step times at 1, 2, 3 and 4 times its global
/// batch with everything else unchanged, so that more examples are more micro-batches. kappa is what an example costs
/// in kernels and launches, sigma what a step costs whatever its batch: the optimizer, and communication once a step.
struct StepTimeFit {
  StepTime line;
  std::vector<StepSample> samples;
  double largest_deviation = 0;  ///< of a sample from the line, as a share of the sample
};
StepTimeFit step_time_of(const Scenario& scenario);

/// What App. E knows of a training: B_noise in examples and S_min. E_min = B_noise S_min.
struct Trade {
  double noise_scale = 0;
  double min_steps = 1;
};

/// A point of the front (S/S_min - 1)(E/E_min - 1) = 1.
struct ParetoPoint {
  double batch = 0;
  double alpha = 0;     ///< B_noise / batch: S = (1 + alpha) S_min and E = (1 + 1/alpha) E_min
  double steps = 0;     ///< S
  double examples = 0;  ///< E = batch S
  double learning_rate_share =
      0;                        ///< best rate over that of a batch without noise, (E.3); the loss drop of a step, too
  std::optional<Seconds> time;  ///< (E.7), when the step's time is known
};
ParetoPoint at_batch(const Trade& trade, const std::optional<StepTime>& time, double batch);

/// The batches 2^k from B_noise/32 to 32 B_noise (not below 1) and `others`, in order, each once.
std::vector<ParetoPoint> pareto_front(const Trade& trade, const std::optional<StepTime>& time,
                                      std::vector<double> others);

/// The batch of least training time beside the critical one. `step.per_step` is not zero (else the fastest batch is the
/// smallest).
struct Fastest {
  double batch = 0;     ///< (E.8)
  Seconds time{0};      ///< (E.9) with E15
  Seconds critical{0};  ///< at the critical batch B_noise
  double ratio = 0;     ///< critical / time, in [1, 2] (E15)
};
Fastest fastest(const Trade& trade, const StepTime& step);

}  // namespace dtcalc::laws
