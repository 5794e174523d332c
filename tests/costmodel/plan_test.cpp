// The search for layouts: complete, valid by the loader's own rules, and evaluated as `evaluate` does.
#include "costmodel/plan/search.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "costmodel/scenario/check.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario to_plan() {
  Model m = divisible_model();
  m.layers = 12;
  m.kv_heads = 4;
  Scenario s = training_scenario(m, notes_software());
  s.cluster.nodes = 4;
  s.cluster.devices_per_node = 8;
  s.training.micro_batch = 1;
  s.training.global_batch = 96;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  s.hardware.nic_bandwidth = BytesPerSecond(25e9);
  return s;
}

/// All layouts by brute force: every combination that the loader accepts.
std::int64_t count_valid(const Scenario& scenario) {
  std::int64_t valid = 0;
  Scenario s = scenario;
  Parallel& p = s.training.parallel;
  for (p.tensor = 1; p.tensor <= 8; ++p.tensor)
    for (int saves = 0; saves < 3; ++saves)
      for (p.context = 1; p.context <= 8; ++p.context)
        for (p.pipeline = 1; p.pipeline <= 12; ++p.pipeline)
          for (p.virtual_stages = 1; p.virtual_stages <= 12; ++p.virtual_stages)
            for (PipelineSchedule schedule : {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b,
                                              PipelineSchedule::interleaved, PipelineSchedule::zero_bubble})
              for (s.training.micro_batch = 1; s.training.micro_batch <= 16; ++s.training.micro_batch) {
                p.schedule = schedule;
                p.sequence = saves > 0, p.save_full_inputs = saves > 1;
                // The search takes P that divides the layers, and one schedule where there is no pipeline.
                if (s.model.layers % p.pipeline != 0) continue;
                if (devices(s.cluster) % (p.tensor * p.context * p.pipeline) != 0) continue;  // check says so too
                if (p.pipeline == 1 && (schedule != PipelineSchedule::one_f_one_b || p.virtual_stages > 1)) continue;
                std::vector<Error> errors;
                check(s, Given{}, errors);
                if (!errors.empty()) continue;
                // Recomputations, ZeRO stages.
                const std::int64_t stages = s.training.method == Method::ppo ? 3 : 4;
                valid += 3 * (data_parallel(s) * p.context > 1 ? stages : 1);
              }
  return valid;
}

/// One node, a step of several models or of adapters.
Scenario tuned(Method method, std::int64_t rank) {
  Scenario s = to_plan();
  s.model.layers = 4;
  s.cluster.nodes = 1;
  s.training.global_batch = 16;
  s.training.method = method;
  s.training.prompt_tokens = method == Method::ppo ? 16 : 0;
  s.training.adapter.rank = rank;
  return s;
}

Scenario contrasted() {
  Scenario s = tuned(Method::supervised, 0);
  Model& m = s.model;
  m.input = ModelInput::image;
  m.image_size = 48, m.patch_size = 8, m.class_token = true;
  m.max_sequence = s.training.sequence = 37;
  m.causal = m.tied_embeddings = false;
  m.head = Head::contrast, m.outputs = 32;
  m.vocabulary_size = 0;
  m.text.layers = 2, m.text.hidden_size = 64, m.text.heads = 4, m.text.mlp_size = 256;
  m.text.vocabulary_size = 500, m.text.max_sequence = 20;
  return s;
}

bool same(const Totals& a, const Totals& b) {
  return a.step == b.step && a.total == b.total && a.mfu == b.mfu && a.bubble == b.bubble && a.exposed == b.exposed &&
         a.activations_bytes == b.activations_bytes && a.hardware_flop == b.hardware_flop;
}

}  // namespace

TEST_CASE("the search counts exactly the layouts that the loader accepts") {
  const Scenario s = to_plan();
  const SearchResult r = search_layouts(s, {});
  CHECK(r.layouts == count_valid(s));
  CHECK(r.fitting == r.layouts);
  CHECK(r.best.size() == 10);
}

TEST_CASE("every planned layout costs bitwise what evaluate says, and the best come first") {
  SearchOptions options;
  options.best = 1000000;
  const Scenario s = to_plan();
  const SearchResult r = search_layouts(s, options);
  REQUIRE(r.best.size() == static_cast<std::size_t>(r.fitting));
  for (std::size_t i = 0; i < r.best.size(); ++i) {
    if (i > 0) CHECK(r.best[i - 1].totals.step <= r.best[i].totals.step);
    if (i % 97 == 0) CHECK(same(evaluate(with_layout(s, r.best[i]), true), r.best[i].totals));
  }
}

TEST_CASE("a step of adapters, pairs or several models is planned as it is loaded and evaluated") {
  const std::pair<const char*, Scenario> steps[] = {
      {"lora", tuned(Method::supervised, 4)}, {"reward", tuned(Method::reward, 0)},
      {"dpo", tuned(Method::dpo, 0)},         {"dpo with adapters", tuned(Method::dpo, 4)},
      {"ppo", tuned(Method::ppo, 0)},         {"clip", contrasted()}};
  for (const auto& [name, s] : steps) {
    CAPTURE(name);
    SearchOptions options;
    options.best = 1000000;
    const SearchResult r = search_layouts(s, options);
    CHECK(r.layouts > 20);
    CHECK(r.layouts == count_valid(s));
    for (std::size_t i = 0; i < r.best.size(); i += 29)
      CHECK(same(evaluate(with_layout(s, r.best[i]), Work::training), r.best[i].totals));
  }
}

TEST_CASE("threads, and how many are asked for, do not change which layouts are best") {
  SearchOptions options;
  const Scenario s = to_plan();
  const SearchResult one = search_layouts(s, options);
  options.threads = 4;
  options.best = 3;
  const SearchResult four = search_layouts(s, options);
  CHECK(one.layouts == four.layouts);
  REQUIRE(four.best.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(same(one.best[i].totals, four.best[i].totals));
}

TEST_CASE("kept keys keep the scenario's value") {
  Scenario s = to_plan();
  s.training.parallel.tensor = 4;
  s.training.parallel.zero = 1;
  s.training.recompute = Recompute::full;
  SearchOptions options;
  options.keep.tensor = options.keep.zero = options.keep.recompute = true;
  const SearchResult r = search_layouts(s, options);
  REQUIRE(!r.best.empty());
  for (const PlannedLayout& l : r.best) {
    CHECK(l.parallel.tensor == 4);
    CHECK(l.parallel.zero == 1);
    CHECK(l.recompute == Recompute::full);
  }
}

TEST_CASE("memory that nothing fits in leaves the layout that needs least") {
  Scenario s = to_plan();
  s.hardware.memory = Bytes(1);
  const SearchResult r = search_layouts(s, {});
  CHECK(r.best.empty());
  CHECK(r.fitting == 0);
  s.hardware.memory = r.smallest.totals.total;
  CHECK(search_layouts(s, {}).fitting > 0);
  s.hardware.memory = r.smallest.totals.total - Bytes(1);
  CHECK(search_layouts(s, {}).fitting == 0);
}

TEST_CASE("a search that is stopped says so and gives what it has") {
  SearchOptions options;
  int asked = 0;
  options.stop = [&] { return ++asked > 20; };
  const SearchResult r = search_layouts(to_plan(), options);
  CHECK(r.stopped);
  CHECK(r.layouts > 0);
  CHECK(r.layouts < search_layouts(to_plan(), {}).layouts);
}
