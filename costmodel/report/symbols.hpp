// The notes' symbols of a scenario: what stands behind each letter of a closed form. Called by explain.cpp.
// symbols.cpp has the notes' own; symbols_more.cpp what the exact forms need beside them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/report/evaluated.hpp"
#include "costmodel/report/explain.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// What B and S mean: memory lives as long as a micro-batch, FLOPs and times are of a step, decoding has its own.
enum class Scope : unsigned char { micro_batch, step, inference };

using Symbols = std::map<std::string, Input, std::less<>>;

/// All symbols that the scenario and its evaluation give, by name.
Symbols symbols_of(const Scenario& scenario, const Totals& totals, Scope scope);

/// Those of one tower and beside them what exact forms need: variants of the model as counts, positions of the head,
/// adapters, and what a device of the layout holds.
Symbols symbols_of(const EvaluatedTower& tower, Scope scope);

/// How a scenario differs from the Transformer that the notes' equations describe (MHA, two MLP matrices, learned
/// positions, dropout, naive attention, everything stored in p bytes), as reasons for a difference.
enum class Topic : unsigned char {
  parameters,
  state,
  activations,
  logits,
  flop,
  executed_flop,
  communication,
  time,
  service
};
std::vector<std::string> differences(const Scenario& scenario, Topic topic);

}  // namespace dtcalc::report
