// The lowest loss that a cluster reaches in a time: parameters, tokens, batch and layout chosen together, from
// Chinchilla's law, the critical batch and the predicted step. Called by `dtcalc plan --objective loss`.
#pragma once

#include <optional>
#include <vector>

#include "costmodel/laws/fits.hpp"
#include "costmodel/laws/loss_at_batch.hpp"
#include "costmodel/plan/search.hpp"

namespace dtcalc {

struct LossGoal {
  laws::NamedFit fit;
  Seconds deadline{0};
  std::optional<double> critical_tokens;  ///< B_crit when it is known; else Kaplan's law of the loss
};

/// A model with a batch and its fastest layout, trained until the deadline.
struct LossCandidate {
  Model model;
  Parameters parameters{0};
  std::int64_t global_batch = 0;
  PlannedLayout layout;
  double steps = 0;   ///< whole ones within the deadline
  double tokens = 0;  ///< seen in them
  laws::LossAtBatch at;
};

struct LossPlan {
  std::vector<LossCandidate> best;  ///< by loss, then by parameters and batch
  std::int64_t pairs = 0;           ///< of model and batch
  std::int64_t skipped = 0;         ///< of them whose loss at the device's peak rate is already above the best ones'
  std::int64_t layouts = 0;         ///< valid ones that were evaluated
  double seconds = 0;               ///< of the search
  bool stopped = false;
};

/// `scenario` is the cluster, sequence, precision and software; each model takes the place of its own and each batch
/// that of its global batch. `options.best` is how many candidates are kept. A pair is skipped only when no layout
/// could bring it among the best: no step is shorter than its products at the peak rate of all devices.
LossPlan plan_for_loss(const Scenario& scenario, const LossGoal& goal, const std::vector<Model>& models,
                       const std::vector<std::int64_t>& batches, const SearchOptions& options);

}  // namespace dtcalc
