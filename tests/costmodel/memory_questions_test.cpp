// What an estimate says about memory beside the peak: maxima of categories, (3.9), ways out.
#include <algorithm>
#include <cmath>
#include <string>

#include "costmodel/evaluate/least_batch.hpp"
#include "costmodel/evaluate/memory_maxima.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/report/ways_out.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Bytes total_with(Scenario s, Precision precision, std::int64_t batch) {
  s.training.precision = precision;
  s.training.micro_batch = s.training.global_batch = batch;
  return evaluate(s, Work::training).total;
}

}  // namespace

TEST_CASE("mixed precision needs less memory than fp32 from B_min on, and not one sequence earlier") {
  for (const std::int64_t hidden : {96, 768, 1536}) {
    Scenario s = training_scenario(divisible_model(), notes_software());
    s.model.layers = 16;
    s.model.hidden_size = hidden, s.model.head_size = hidden / 8, s.model.mlp_size = 4 * hidden;
    const LeastBatch least = mixed_precision_least_batch(s);
    REQUIRE(least.micro_batch);
    const std::int64_t b = *least.micro_batch;
    CAPTURE(hidden, b, least.closed);
    CHECK(total_with(s, Precision::bf16_mixed, b) <= total_with(s, Precision::fp32, b));
    if (b > 1) CHECK(total_with(s, Precision::bf16_mixed, b - 1) > total_with(s, Precision::fp32, b - 1));
  }
}

TEST_CASE("(3.9) is the least batch to leading order: saved activations against state") {
  // Many layers make the head, the boundary and one block's scratch small beside what is saved: 1/48 each.
  Scenario s = training_scenario(divisible_model(), notes_software());
  s.model.layers = 96;
  s.model.hidden_size = 3072, s.model.head_size = 384, s.model.mlp_size = 4 * 3072;
  s.model.vocabulary_size = 64;
  const LeastBatch least = mixed_precision_least_batch(s);
  REQUIRE(least.micro_batch);
  CHECK(least.closed == formulas::eq_3_9_b_min(3072, 64, 8));
  CHECK(least.closed > 20);
  CHECK(std::abs(static_cast<double>(*least.micro_batch) / least.closed - 1) < 0.08);
}

TEST_CASE("a category's maximum is never below what it takes at the peak, and the logits' is the head's") {
  for (const std::int64_t vocabulary : {16, 1040, 40000})
    for (const std::int64_t pipeline : {1, 2}) {
      Scenario s = training_scenario(divisible_model(), notes_software());
      s.model.vocabulary_size = vocabulary;
      s.cluster.devices_per_node = pipeline;
      s.hardware.link_bandwidth = BytesPerSecond(300e9);
      s.training.parallel.pipeline = pipeline;
      const Totals t = evaluate(s, Work::training);
      const MemoryMaxima m = memory_maxima(s, Work::training, t);
      CAPTURE(vocabulary, pipeline);
      CHECK(m.parameters == t.parameters_bytes);
      CHECK(m.gradients == t.gradients_bytes);
      CHECK(m.optimizer == t.optimizer_bytes);
      CHECK(m.activations >= t.activations_bytes);
      CHECK(m.logits >= t.logits_bytes);
      CHECK(m.kernel != Name::count);
      // Logits and their gradient in fp32, (E62), where the stage has the head.
      const Bytes logits(2 * 64 * vocabulary * 4);
      if (pipeline == 1) CHECK(m.logits >= logits);
      if (pipeline == 1) CHECK(m.logits <= 3 * logits);
      if (pipeline == 2 && t.peak.stage == 0) CHECK(m.logits == Bytes(0));
      // With a large vocabulary the peak is in the head, so its own instant is the maximum.
      if (vocabulary == 40000 && pipeline == 1) {
        CHECK(m.logits == t.logits_bytes);
        CHECK(std::string(text(m.kernel)).find("loss") == 0);
      }
    }
}

TEST_CASE("every way out fits, is valid, costs what evaluate says, and each axis is among them") {
  Scenario s = training_scenario(divisible_model(), notes_software());
  s.cluster.devices_per_node = 4;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  s.training.micro_batch = 4;
  s.training.global_batch = 16;
  const Totals now = evaluate(s, Work::training);
  s.hardware.memory = Bytes(now.total.value() * 95 / 100);
  const std::vector<report::WayOut> ways = report::ways_out(s, now.step);
  std::string keys;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    CHECK(ways[i].total <= s.hardware.memory);
    CHECK(ways[i].step_ratio == ways[i].step / now.step);
    if (i > 0) CHECK(ways[i - 1].step <= ways[i].step);
    for (const std::string& set : ways[i].set) keys += set + " ";
  }
  CAPTURE(keys);
  for (const char* key : {"training.recompute=", "training.micro_batch=", "training.parallel.tensor=",
                          "training.parallel.pipeline=", "training.parallel.zero="})
    CHECK(keys.find(key) != std::string::npos);
}

TEST_CASE("one device that is too small for the state is told how many would share it") {
  Scenario s = training_scenario(divisible_model(), notes_software());
  s.training.micro_batch = s.training.global_batch = 1;
  const Totals now = evaluate(s, Work::training);
  s.hardware.memory = (now.parameters_bytes + now.gradients_bytes + now.optimizer_bytes) * 7 / 10;
  CHECK(report::ways_out(s, now.step).empty());  // no links
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  const std::vector<report::WayOut> ways = report::ways_out(s, now.step);
  REQUIRE(!ways.empty());
  for (const report::WayOut& way : ways) CHECK(way.set[1].find("cluster.devices_per_node=") == 0);
}
