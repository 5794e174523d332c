// What `dtcalc scaling` says: one value from which text, JSON and CSV are made (docs/scaling.md, docs/json.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/laws/fits.hpp"
#include "costmodel/laws/run_cost.hpp"
#include "costmodel/laws/scaling.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::laws {

/// How fast training goes: tokens per second as an evaluation found them, or (5.2) from a peak rate and an MFU.
struct Speed {
  std::optional<TokensPerSecond> tokens_per_s;  ///< of all devices; else the three below
  FlopPerSecond flop_rate{0};                   ///< peak of one device
  double mfu = 0;
  double devices = 1;
  std::string origin;  ///< in words
};

/// Half a cosine behind a linear warm-up (footnote 38 with E30).
struct Schedule {
  double steps = 0, warmup_steps = 0;
  double learning_rate = 0, final_learning_rate = 0;
};

/// At most two of parameters, tokens, compute and loss, not loss with compute; all positive and finite.
struct ScalingQuestion {
  NamedFit fit;
  std::optional<double> parameters;     ///< all of them
  std::optional<double> non_embedding;  ///< Kaplan's N; without it, `parameters` stands for both
  std::optional<double> tokens;
  std::optional<Flop> compute;
  std::optional<double> loss;         ///< nats
  std::optional<double> tokens_used;  ///< that the model will read or write in use
  std::vector<Flop> isoflop;          ///< a curve for each
  int points = 17;                    ///< of a curve, odd
  std::optional<Speed> speed;
  Prices prices;
  std::optional<Schedule> schedule;
};

struct LawLoss {
  std::string_view law, title;
  double loss = 0;
};

struct OptimumRow {
  std::string_view law, title, source;
  double parameters = 0, tokens = 0;
  std::optional<double> loss;  ///< by the law itself
};

struct RunRow {
  RunCost cost;
  TokensPerSecond tokens_per_s{0};
  std::string origin;
};

struct RatePoint {
  double step = 0, learning_rate = 0;
};

struct ScalingReport {
  NamedFit fit;
  std::optional<Allocation> point;
  double non_embedding = 0;
  std::string how;                 ///< where the point comes from, in words
  std::vector<LawLoss> losses;     ///< of the point
  std::vector<OptimumRow> optima;  ///< at the point's compute, the chosen fit first
  Allocation searched;             ///< the chosen fit's optimum, found by search
  std::optional<LifetimeOptimum> lifetime;
  double tokens_used = 0;
  std::vector<IsoflopPoint> isoflop;
  std::optional<RunRow> run;
  std::vector<RatePoint> schedule;
};

/// Errors are at `parameters`, `tokens`, `compute` or `loss`.
Result<ScalingReport> scaling_report(const ScalingQuestion& question);

nlohmann::ordered_json to_json(const ScalingReport& report);
/// The isoFLOP curves or the schedule when there are any, else the optima, else the published frontiers.
report::Table to_table(const ScalingReport& report);
std::string to_text(const ScalingReport& report, const report::TextOptions& options);

}  // namespace dtcalc::laws
