// One training step of a scenario, played event by event, and what `dtcalc simulate` says about it: text with a
// timeline, JSON (docs/simulate.md), a table, a trace (trace.hpp).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "costmodel/schedule/play.hpp"
#include "costmodel/schedule/stage_costs.hpp"

namespace dtcalc {

struct Simulation {
  Scenario scenario;
  StagedStep staged;
  Schedule schedule;
  Played played;
  std::vector<Event> events;  ///< stage by stage
};

/// Plays the scenario's training step. Refused: a scenario without training, and what make_schedule refuses.
Result<Simulation> simulate(const Scenario& scenario);

/// How all stages together spend the step: means over the stages, which add up to the step.
StagePlayed mean_over_stages(const Played& played);

namespace report {

/// For people: the step, its parts, a row per stage, a timeline as wide as the terminal.
std::string to_text(const Simulation& simulation, const TextOptions& options);

/// docs/simulate.md has the keys. `events`: with every event and the memory over time.
nlohmann::ordered_json to_json(const Simulation& simulation, bool events);

/// A row per event.
Table to_table(const Simulation& simulation);

/// One line per stage: what its compute stream does in each of `columns` equal parts of the step (what takes most of
/// the part): F forward, B backward, W weight gradients, O optimizer, . idle.
std::vector<std::string> timeline(const Simulation& simulation, int columns);

}  // namespace report
}  // namespace dtcalc
