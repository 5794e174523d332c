// Embedding and head as layers of a pipeline's chunks: Llama 3.1 405B's 126 layers on 16 stages.
#include <fmt/format.h>

#include <random>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

std::int64_t sum(const StageShape& shape) { return shape.layers[0] + shape.layers[1] + shape.layers[2]; }

Result<Scenario> llama_405b(std::int64_t pipeline, std::int64_t chunks, const std::vector<std::string>& changes) {
  std::vector<std::string> all{"software=megatron-bridge",
                               "cluster.nodes=4",
                               "cluster.devices_per_node=64",
                               "training.sequence=8192",
                               "training.global_batch=1536",
                               "training.parallel.tensor=4",
                               "training.parallel.sequence=true",
                               "training.parallel.schedule=interleaved",
                               "training.parallel.ends_count_as_layers=true",
                               fmt::format("training.parallel.pipeline={}", pipeline),
                               fmt::format("training.parallel.virtual_stages={}", chunks)};
  all.insert(all.end(), changes.begin(), changes.end());
  return load_scenario_named("llama3.1-405b", "gb200", DTCALC_SOURCE_DIR, all);
}

}  // namespace

TEST_CASE("with counted ends the first and last chunk hold a layer less") {
  Layout l;
  l.layers = 126, l.pipeline = 16, l.counted_ends = true;
  l.chunks = 4;  // 128 places, two a chunk
  for (std::int64_t stage = 0; stage < 16; ++stage) {
    CHECK(sum(stage_shape(l, stage)) == (stage == 0 || stage == 15 ? 7 : 8));
    for (std::int64_t chunk = 0; chunk < 4; ++chunk) {
      const bool first = stage == 0 && chunk == 0, last = stage == 15 && chunk == 3;
      const StageShape shape = chunk_shape(l, stage, chunk);
      CHECK(sum(shape) == (first || last ? 1 : 2));
      CHECK(shape.prologue == first);
      CHECK(shape.epilogue == last);
    }
  }
  l.chunks = 8;  // one a chunk: the first is the embedding alone, the last the head
  CHECK(sum(chunk_shape(l, 0, 0)) == 0);
  CHECK(sum(chunk_shape(l, 15, 7)) == 0);
  CHECK(stage_shape(l, 0).layers == std::array<std::int64_t, kMaxBlockKinds>{7, 0, 0});
  CHECK(all_layers(l) == std::array<std::int64_t, kMaxBlockKinds>{126, 0, 0});
}

TEST_CASE("chunks add up to stages, and stages to the model") {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    Layout l;
    l.counted_ends = random() % 2;
    l.pipeline = 2 + random() % 7;
    l.chunks = 1 + random() % 4;
    const std::int64_t length = (l.counted_ends ? 2 : 1) + random() % 4;
    l.layers = l.pipeline * l.chunks * length - (l.counted_ends ? 2 : 0);
    l.global_every = random() % 3 == 0 ? 2 + random() % 3 : 0;
    CAPTURE(l.layers, l.pipeline, l.chunks, l.counted_ends, l.global_every);
    std::array<std::int64_t, kMaxBlockKinds> model{};
    for (std::int64_t stage = 0; stage < l.pipeline; ++stage) {
      StageShape chunks;
      chunks.prologue = chunks.epilogue = false;
      for (std::int64_t c = 0; c < l.chunks; ++c) {
        const StageShape chunk = chunk_shape(l, stage, c);
        for (int k = 0; k < kMaxBlockKinds; ++k) chunks.layers[k] += chunk.layers[k], model[k] += chunk.layers[k];
        chunks.prologue = chunks.prologue || chunk.prologue;
        chunks.epilogue = chunks.epilogue || chunk.epilogue;
      }
      CHECK(stage_shape(l, stage) == chunks);
      for (std::int64_t same = stage + 1; same < next_shape(l, stage); ++same)
        CHECK(stage_shape(l, same) == stage_shape(l, stage));
    }
    CHECK(model == all_layers(l));
    CHECK(model[0] + model[1] + model[2] == l.layers);
  }
}

TEST_CASE("Llama 3.1 405B runs on 16 stages of 4 or 8 chunks") {
  const Result<Scenario> plain = llama_405b(16, 4, {"training.parallel.ends_count_as_layers=false"});
  REQUIRE_FALSE(plain);
  CHECK(plain.errors().front().place == "/training/parallel/virtual_stages");
  const Totals whole = evaluate(load_scenario_named("llama3.1-405b", "gb200", DTCALC_SOURCE_DIR, {}).value(), true);
  for (const std::int64_t chunks : {4, 8}) {
    const Scenario s = llama_405b(16, chunks, {}).value();
    const Totals t = evaluate(s, true);
    CHECK(t.parameters == whole.parameters);
    // The closed form takes chunks as equal; the player has the short ones. 2 % is what unequal chunks of the first
    // and last of 16 stages, an eighth of a stage's work, may shift.
    CHECK(simulate(s).value().played.step.value() == Approx(t.step.value()).epsilon(0.02));
  }
  CHECK_FALSE(llama_405b(16, 3, {}));
  const Result<Scenario> alone = llama_405b(1, 1, {"training.parallel.schedule=1f1b", "training.parallel.tensor=8"});
  REQUIRE_FALSE(alone);
  CHECK(alone.errors().front().place == "/training/parallel/ends_count_as_layers");
}
