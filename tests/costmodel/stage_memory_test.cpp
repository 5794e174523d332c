// What every pipeline stage holds at its peak (Details::stages), beside the totals of the fullest stage.
#include "costmodel/data_dir.hpp"
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

TEST_CASE("memory of a stage: the parts add up on every stage, and on the fullest they are the totals'") {
  const std::vector<std::string> set{"cluster.nodes=8",
                                     "cluster.devices_per_node=8",
                                     "training.global_batch=64",
                                     "training.parallel.tensor=4",
                                     "training.parallel.pipeline=8",
                                     "training.parallel.zero=" + std::to_string(GENERATE(0, 1, 2)),
                                     "model.tied_embeddings=" + std::string(GENERATE("true", "false"))};
  const auto scenario = load_scenario_named("gpt3-175b", "a100-80-sxm", data_dir(), set);
  REQUIRE(scenario);
  Details details;
  const Totals totals = evaluate(*scenario, true, &details);
  REQUIRE(details.stages.size() == 8);
  for (const StageItem& stage : details.stages) {
    const StageMemory& m = stage.memory;
    CHECK(m.parameters + m.gradients + m.optimizer + m.activations + m.logits + m.workspace == stage.total);
    for (const Bytes part : {m.parameters, m.gradients, m.optimizer, m.activations}) CHECK(part > Bytes(0));
    for (const Bytes part : {m.logits, m.workspace}) CHECK(part >= Bytes(0));
    CHECK(stage.total <= totals.total);
  }
  const StageMemory& fullest = details.stages[static_cast<std::size_t>(totals.peak.stage)].memory;
  CHECK(fullest.parameters == totals.parameters_bytes);
  CHECK(fullest.gradients == totals.gradients_bytes);
  CHECK(fullest.optimizer == totals.optimizer_bytes);
  CHECK(fullest.activations == totals.activations_bytes);
  CHECK(fullest.logits == totals.logits_bytes);
  CHECK(fullest.workspace == totals.workspace_bytes);
  // 1F1B: a stage holds one micro-batch less than the one before it, so the blocks' stages come down evenly.
  CHECK(details.stages[1].memory.activations > details.stages[2].memory.activations);
}
