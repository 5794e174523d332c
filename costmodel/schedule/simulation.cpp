#include "costmodel/schedule/simulation.hpp"

#include "costmodel/evaluate/towers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {

using nlohmann::ordered_json;

Result<Simulation> simulate(const Scenario& scenario) {
  if (!scenario.has_training)
    return Error{"/training", "", "is missing: a simulation plays a training step",
                 "add it, for example --set training.micro_batch=1"};
  if (scenario.training.method == Method::ppo)
    return Error{"/training/method", "\"ppo\"",
                 "writes answers token by token, which is no schedule of passes over micro-batches",
                 "estimate has the times of its towers; training.method=supervised is the policy's update alone"};
  Simulation s{scenario, stage_costs(scenario), {}, {}, {}};
  Result<Schedule> schedule = make_schedule(s.staged.shape);
  if (!schedule) return schedule.errors();
  s.schedule = std::move(schedule).value();
  Result<Played> played = play(s.schedule, s.staged.costs, &s.events);
  if (!played) return played.errors();
  s.played = std::move(played).value();
  return s;
}

StagePlayed mean_over_stages(const Played& played) {
  StagePlayed mean;
  const auto count = static_cast<double>(played.stages.size());
  for (const StagePlayed& s : played.stages) {
    mean.compute += s.compute / count, mean.optimizer += s.optimizer / count;
    mean.exposed_transfer += s.exposed_transfer / count, mean.exposed_data += s.exposed_data / count;
    mean.bubble += s.bubble / count;
  }
  return mean;
}

namespace report {
namespace {

constexpr const char* traffic_names[] = {"none", "per_step", "per_micro_batch"};

/// A pass, a transfer or traffic that has a chunk and a micro-batch of its own; the optimizer has neither.
bool has_chunk(const Event& e) { return e.instruction.op != Op::optimizer; }

ordered_json event_json(const Event& e) {
  ordered_json row{{"stage", e.stage}, {"stream", name_of(e.stream)}, {"op", name_of(e.instruction.op)}};
  if (has_chunk(e)) row["chunk"] = e.instruction.chunk, row["micro_batch"] = e.instruction.micro_batch;
  if (e.instruction.peer >= 0) row["to"] = e.instruction.peer;
  row["start_s"] = e.start.value(), row["end_s"] = e.end.value();
  return row;
}

ordered_json stage_json(const Simulation& s, std::size_t stage, bool events) {
  const StagePlayed& p = s.played.stages[stage];
  Seconds recompute{0};
  const auto chunks = static_cast<std::size_t>(s.staged.shape.chunks);
  for (std::size_t c = 0; c < chunks; ++c)
    recompute += s.staged.costs.chunks[stage * chunks + c].recompute * s.staged.shape.micro_batches;
  ordered_json row{{"stage", stage},
                   {"compute_s", p.compute.value()},
                   {"recompute_s", recompute.value()},
                   {"optimizer_s", p.optimizer.value()},
                   {"exposed_transfer_s", p.exposed_transfer.value()},
                   {"exposed_data_s", p.exposed_data.value()},
                   {"bubble_s", p.bubble.value()},
                   {"live_chunks", p.live_chunks},
                   {"persistent_bytes", s.staged.costs.stages[stage].persistent.value()},
                   {"peak_bytes", p.peak.value()},
                   {"peak_at_s", p.peak_at.value()}};
  if (events)
    for (const MemoryStep& m : memory_over_time(s.schedule, s.staged.costs, s.events, static_cast<std::int64_t>(stage)))
      row["memory"].push_back({{"at_s", m.at.value()}, {"bytes", m.bytes.value()}});
  return row;
}

}  // namespace

ordered_json to_json(const Simulation& s, bool events) {
  const ScheduleShape& shape = s.staged.shape;
  const StagePlayed mean = mean_over_stages(s.played);
  const double step = s.played.step.value();
  const Tokens tokens = tokens_of_step(s.scenario);
  const auto less_memory = [](const StagePlayed& a, const StagePlayed& b) { return a.peak < b.peak; };
  const auto less_compute = [](const StagePlayed& a, const StagePlayed& b) { return a.compute < b.compute; };
  const auto& stages = s.played.stages;
  ordered_json j{{"schema", "dtcalc.simulate/1"}};
  j["scenario"] = ordered_json(dtcalc::to_json(s.scenario));
  j["schedule"] = {{"name", name_of(shape.schedule)},
                   {"stages", shape.stages},
                   {"chunks", shape.chunks},
                   {"micro_batches", shape.micro_batches},
                   {"gather", traffic_names[static_cast<std::size_t>(shape.gather)]},
                   {"reduce", traffic_names[static_cast<std::size_t>(shape.reduce)]}};
  j["time"] = {{"step_s", step},
               {"compute_s", mean.compute.value()},
               {"optimizer_s", mean.optimizer.value()},
               {"exposed_transfer_s", mean.exposed_transfer.value()},
               {"exposed_data_s", mean.exposed_data.value()},
               {"bubble_s", mean.bubble.value()}};
  if (step > 0) {
    j["time"]["bubble_share"] = mean.bubble.value() / step;
    j["time"]["tokens_per_s"] = static_cast<double>(tokens.value()) / step;
  }
  j["time"]["slowest_stage"] = std::max_element(stages.begin(), stages.end(), less_compute) - stages.begin();
  j["time"]["origin"] = origin_of(s.scenario);
  const auto peak = std::max_element(stages.begin(), stages.end(), less_memory);
  j["memory"] = {{"peak_bytes", peak->peak.value()}, {"stage", peak - stages.begin()}};
  for (std::size_t stage = 0; stage < stages.size(); ++stage) j["stages"].push_back(stage_json(s, stage, events));
  if (events)
    for (const Event& e : s.events) j["events"].push_back(event_json(e));
  return j;
}

Table to_table(const Simulation& s) {
  Table table{{{"stage"}, {"stream"}, {"op"}, {"chunk"}, {"micro_batch"}, {"to"}, {"start_s"}, {"end_s"}}, {}};
  table.rows.reserve(s.events.size());
  const auto number = [](bool exists, std::int32_t n) { return exists ? fmt::format("{}", n) : std::string(); };
  for (const Event& e : s.events)
    table.rows.push_back({fmt::format("{}", e.stage), name_of(e.stream), name_of(e.instruction.op),
                          number(has_chunk(e), e.instruction.chunk), number(has_chunk(e), e.instruction.micro_batch),
                          number(e.instruction.peer >= 0, e.instruction.peer), fmt::format("{}", e.start.value()),
                          fmt::format("{}", e.end.value())});
  return table;
}

}  // namespace report
}  // namespace dtcalc
