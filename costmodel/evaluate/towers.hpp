// The towers of a training step: models that a step runs side by side or one after the other. An image and a text tower
// (Sec. 9), a policy and its frozen reference, reward and value models (Sec. 7). Each is a scenario of one model and is
// evaluated by the same graph; a step is their sum. Called by `evaluate` and by whoever names towers in a report.
//
// A frozen tower is a training pass whose parameters are all frozen: it has no gradient, so nothing is saved.
#pragma once

#include <string_view>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc {

struct Tower {
  std::string_view name;         ///< `policy`, `reference`, `image`, …
  Scenario scenario;             ///< of this model alone
  Work work = Work::training;    ///< prefill and decode: the policy writes its answers
  std::int64_t context = 0;      ///< keys of a decode step
  std::int64_t runs = 1;         ///< in one optimizer step
  bool borrows_weights = false;  ///< of a tower before it
  int phase = 0;                 ///< what towers of one phase save is alive at the same time
};

/// Whether a step is more than one pass of the scenario's own model.
bool has_towers(const Scenario& scenario);

/// The towers of a training step, in the order in which they run. Batches of pairs are two sequences each.
std::vector<Tower> towers_of(const Scenario& scenario);

/// The sum over towers. Memory is the sum of what stays, and on top of it the phase that needs most: what its towers
/// save and the largest scratch among them. `details` gets the towers one by one and their groups together.
Totals evaluate_towers(const Scenario& scenario, Details* details);

/// Positions that a step's first tower reads: both answers of a pair, an image without its text.
Tokens tokens_of_step(const Scenario& scenario);

}  // namespace dtcalc
