// A scenario's step, played: equal to `evaluate` where that is exact, near to it where it is a closed form; the cost of
// many devices; the trace.
#include "costmodel/schedule/simulation.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/schedule/trace.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using nlohmann::json;

namespace {

Scenario gpt3(std::vector<std::string> changes) {
  for (const char* change : {"cluster.devices_per_node=8", "training.parallel.tensor=8"}) changes.emplace_back(change);
  const Result<Scenario> loaded = load_scenario_named("gpt3-175b", "a100-80-sxm", DTCALC_SOURCE_DIR, changes);
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return *loaded;
}

}  // namespace

TEST_CASE("without a pipeline the played step is the evaluated one", "[schedule]") {
  for (const char* recompute : {"none", "full"}) {
    const Scenario scenario = gpt3({"training.global_batch=4", std::string("training.recompute=") + recompute});
    const Simulation simulation = *simulate(scenario);
    const Totals totals = evaluate(scenario, true);
    // The same seconds, added up in another order: a few hundred roundings.
    CHECK_THAT(simulation.played.step.value(), Catch::Matchers::WithinRel(totals.step.value(), 1e-12));
    CHECK(simulation.played.stages[0].bubble.value() == 0);
    CHECK(simulation.played.stages[0].peak == totals.total);
    const double recomputed = simulation.staged.costs.chunks[0].recompute.value();
    CHECK((recomputed > 0) == (recompute != std::string("none")));
  }
}

TEST_CASE("towers that run side by side play as long as they are evaluated", "[schedule]") {
  struct Row {
    const char* model;
    std::vector<std::string> set;
  };
  const std::vector<std::string> pairs{"training.sequence=256", "training.micro_batch=2", "training.global_batch=8"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), pairs.begin(), pairs.end());
    return more;
  };
  for (const Row& row : std::vector<Row>{
           {"gpt2-124m", with({"training.method=reward"})},
           {"gpt2-124m", with({"training.method=dpo"})},
           {"gpt2-124m", with({"training.method=dpo", "training.adapter.rank=8"})},
           {"gpt2-124m", with({"training.method=dpo", "training.parallel.zero=3", "cluster.devices_per_node=4"})},
           {"clip-vit-b-32", {"training.micro_batch=64"}}}) {
    CAPTURE(row.model, row.set);
    const Result<Scenario> scenario = load_scenario_named(row.model, "h100", DTCALC_SOURCE_DIR, row.set);
    INFO(describe(scenario.errors()));
    REQUIRE(scenario);
    const Result<Simulation> simulation = simulate(*scenario);
    INFO(describe(simulation.errors()));
    REQUIRE(simulation);
    const Totals totals = evaluate(*scenario, true);
    // Host launches stretch each tower alone, data traffic hides behind other passes in a player: near, not equal.
    CHECK_THAT(simulation->played.step.value(), Catch::Matchers::WithinRel(totals.step.value(), 0.02));
    CHECK(simulation->played.stages[0].peak == totals.total);
  }
  // Over stages a reference goes through them with its policy.
  const Result<Scenario> staged =
      load_scenario_named("gpt2-124m", "h100", DTCALC_SOURCE_DIR,
                          std::vector<std::string>{"training.method=dpo", "training.global_batch=8",
                                                   "training.parallel.pipeline=2", "cluster.devices_per_node=2"});
  REQUIRE(staged);
  const Simulation played = *simulate(*staged);
  REQUIRE(played.played.stages.size() == 2);
  CHECK_THAT(played.played.step.value(), Catch::Matchers::WithinRel(evaluate(*staged, true).step.value(), 0.1));
}

TEST_CASE("a pipeline's played step and memory are near to the evaluated ones", "[schedule]") {
  for (const char* schedule : {"gpipe", "1f1b", "interleaved", "zero_bubble"}) {
    CAPTURE(schedule);
    const bool interleaved = schedule == std::string("interleaved");
    const Scenario scenario = gpt3({"cluster.nodes=8", "training.parallel.pipeline=8", "training.global_batch=32",
                                    std::string("training.parallel.schedule=") + schedule,
                                    std::string("training.parallel.virtual_stages=") + (interleaved ? "3" : "1")});
    const Simulation simulation = *simulate(scenario);
    const Totals totals = evaluate(scenario, true);
    CHECK_THAT(simulation.played.step.value(), Catch::Matchers::WithinRel(totals.step.value(), 0.02));
    Bytes peak{0};
    for (const StagePlayed& stage : simulation.played.stages) peak = std::max(peak, stage.peak);
    CHECK(peak == totals.total);
  }
}

TEST_CASE("the embedding is work of the first chunk, the head of the last one", "[schedule]") {
  const StagedStep staged =
      stage_costs(gpt3({"cluster.nodes=4", "training.parallel.pipeline=4", "training.global_batch=8",
                        "training.parallel.schedule=interleaved", "training.parallel.virtual_stages=2"}));
  const auto& chunks = staged.costs.chunks;
  REQUIRE(chunks.size() == 8);
  CHECK(chunks[0].forward > chunks[1].forward);
  CHECK(chunks[7].forward > chunks[6].forward);
  for (std::size_t c = 1; c + 2 < chunks.size(); ++c) CHECK(chunks[c].forward == chunks[c + 1].forward);
}

TEST_CASE("replicas enter through the reduction only: 16,384 devices play as many events as 64", "[schedule]") {
  std::size_t events = 0;
  for (const std::int64_t replicas : {1, 256}) {
    const Scenario scenario = gpt3({"cluster.nodes=" + std::to_string(8 * replicas), "training.parallel.pipeline=8",
                                    "training.global_batch=" + std::to_string(32 * replicas)});
    const Simulation simulation = *simulate(scenario);
    CHECK(simulation.played.stages.size() == 8);
    if (events == 0)
      events = simulation.events.size();
    else
      CHECK(simulation.events.size() == events + 8);  // a reduction per stage
  }
}

TEST_CASE("overlap and ZeRO change what stays exposed", "[schedule]") {
  const auto exposed = [](const std::vector<std::string>& more) {
    std::vector<std::string> changes{"cluster.nodes=16", "training.parallel.pipeline=4", "training.global_batch=64"};
    changes.insert(changes.end(), more.begin(), more.end());
    return mean_over_stages(simulate(gpt3(changes))->played).exposed_data;
  };
  const Seconds plain = exposed({"software.overlap_gradient_reduction=false"});
  const Seconds overlapped = exposed({"software.overlap_gradient_reduction=true"});
  CHECK(plain.value() > 0);
  CHECK(overlapped < plain);
  const Seconds zero3 = exposed({"training.parallel.zero=3", "software.overlap_gradient_reduction=true",
                                 "software.overlap_parameter_gather=true"});
  CHECK(zero3 > overlapped);
  CHECK(exposed({"training.parallel.zero=3", "software.overlap_gradient_reduction=true",
                 "software.overlap_parameter_gather=false"}) > zero3);
}

TEST_CASE("the trace is a JSON document with every event, and each arrow joins a transfer and a later pass",
          "[schedule]") {
  const Simulation simulation =
      *simulate(gpt3({"cluster.nodes=8", "training.parallel.pipeline=4", "training.global_batch=16",
                      "training.parallel.schedule=interleaved", "training.parallel.virtual_stages=2"}));
  const json trace = json::parse(report::trace(simulation));
  std::size_t slices = 0, memory = 0;
  std::map<int, json> begun;
  std::map<std::string, int> arrows;
  for (const json& e : trace["traceEvents"]) {
    const std::string phase = e["ph"];
    if (phase == "X") {
      CHECK(e["dur"].get<double>() >= 0);
      CHECK((e["pid"] >= 0 && e["pid"] < 4 && e["tid"] >= 0 && e["tid"] < 3));
      ++slices;
    } else if (phase == "s") {
      begun[e["id"]] = e;
    } else if (phase == "f") {
      const json& from = begun.at(e["id"]);
      CHECK(from["pid"] != e["pid"]);
      CHECK(from["ts"].get<double>() <= e["ts"].get<double>());
      ++arrows["finished"];
    } else if (phase == "C") {
      ++memory;
    } else {
      CHECK(phase == "M");
    }
  }
  CHECK(slices == simulation.events.size());
  const ScheduleShape& shape = simulation.staged.shape;
  CHECK(arrows["finished"] == 2 * shape.micro_batches * (shape.stages * shape.chunks - 1));
  CHECK(memory == static_cast<std::size_t>(shape.stages * (1 + 2 * shape.chunks * shape.micro_batches)));
}

TEST_CASE("the timeline shows what takes most of each column", "[schedule]") {
  Simulation simulation =
      *simulate(gpt3({"cluster.nodes=8", "training.parallel.pipeline=2", "training.global_batch=8"}));
  simulation.staged.shape = {PipelineSchedule::one_f_one_b, 2, 1, 2};
  simulation.schedule = *make_schedule(simulation.staged.shape);
  ChunkCost chunk;
  chunk.forward = Seconds(1), chunk.backward_input = Seconds(1), chunk.backward_weight = Seconds(1);
  StageCost stage;
  stage.optimizer = Seconds(1);
  simulation.staged.costs = {{chunk, chunk}, {stage, stage}, true};
  simulation.played = *play(simulation.schedule, simulation.staged.costs, &simulation.events);
  CHECK(report::timeline(simulation, 10) == std::vector<std::string>{"FF..BB.BBO", ".FBBFBB..O"});
  CHECK(report::timeline(simulation, 5) == std::vector<std::string>{"F.BBB", "FBFBO"});
}
