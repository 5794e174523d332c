// What `dtcalc batch` says: one value from which text, JSON and CSV are made (docs/batch.md, docs/json.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "costmodel/laws/batch.hpp"
#include "costmodel/laws/noise.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::laws {

/// A known run: so many steps at this batch reach the loss one is after.
struct KnownRun {
  double batch = 0, steps = 0;
};

/// Everything positive and finite.
struct BatchQuestion {
  double noise_scale = 0;               ///< B_noise, sequences
  std::string noise_origin;             ///< in words
  std::optional<NoiseEstimate> noise;   ///< when it was estimated from norms
  std::optional<double> min_steps;      ///< S_min; else from `run`, else the front is in units of S_min and E_min
  std::optional<KnownRun> run;          ///< marked in the front
  std::optional<double> batch;          ///< marked, when its steps are not known
  std::optional<StepTimeFit> step;      ///< samples empty when kappa and sigma were given
  std::string step_origin;              ///< in words
  std::optional<double> learning_rate;  ///< the best one at the marked batch
};

/// A batch of the front and what is special about it.
struct MarkedPoint {
  ParetoPoint at;
  std::optional<double> over_fastest;  ///< training time over that of the fastest batch; needs no S_min
  std::string mark;                    ///< "critical", "fastest", "yours"; several are joined by ", "
  std::optional<double> learning_rate;
  std::optional<double> loss_drop;  ///< (E.5) with E14, nats, when |g|^2 and the learning rate are known
};

struct BatchReport {
  BatchQuestion question;
  double min_steps = 1;  ///< 1 when not known
  bool steps_known = false;
  std::optional<Fastest> fastest;
  std::vector<MarkedPoint> front;  ///< by batch
};

BatchReport batch_report(const BatchQuestion& question);

nlohmann::ordered_json to_json(const BatchReport& report);
/// The front.
report::Table to_table(const BatchReport& report);
std::string to_text(const BatchReport& report, const report::TextOptions& options);

}  // namespace dtcalc::laws
