// What the allocator holds after a step, beside the ledger and beside hand counts.
#include "costmodel/evaluate/reserved_memory.hpp"

#include <fmt/format.h>

#include "costmodel/published/compare.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

ReservedMemory reserved(const Scenario& s) { return reserved_memory(s, evaluate(s, Work::training)).value(); }

Scenario gpt2(const std::vector<std::string>& changes) {
  std::vector<std::string> all{"software=pytorch-eager", "software.allocator=pytorch", "training.micro_batch=4",
                               "training.sequence=1024"};
  all.insert(all.end(), changes.begin(), changes.end());
  return load_scenario_named("gpt2-124m", "a100-80-sxm", DTCALC_SOURCE_DIR, all).value();
}

Scenario fsdp(const std::vector<std::string>& changes) {
  std::vector<std::string> all{
      "software=torchtitan-compiled", "training.precision=bf16_fsdp", "training.parallel.zero=3", "cluster.nodes=1",
      "cluster.devices_per_node=8",   "training.sequence=2048",       "training.recompute=full"};
  all.insert(all.end(), changes.begin(), changes.end());
  return load_scenario_named("llama3-8b", "h100", DTCALC_SOURCE_DIR, all).value();
}

}  // namespace

TEST_CASE("without an allocator nothing is reserved beside the ledger's buffers") {
  const Scenario s = gpt2({"software.allocator=none"});
  CHECK_FALSE(reserved_memory(s, evaluate(s, Work::training)));
}

TEST_CASE("on one device the allocator hands out what the ledger counts, and holds little more") {
  for (const char* kind : {"pytorch", "pytorch_expandable"})
    for (const char* recompute : {"none", "full"}) {
      CAPTURE(kind, recompute);
      const Scenario s =
          gpt2({fmt::format("software.allocator={}", kind), fmt::format("training.recompute={}", recompute)});
      const ReservedMemory r = reserved(s);
      const auto ledger = static_cast<double>(evaluate(s, Work::training).total.value());
      // Both have every buffer; the ledger's arena adds what placement leaves free, the allocator 512 bytes each.
      CHECK(static_cast<double>(r.most_allocated.value()) == Approx(ledger).epsilon(0.03));
      CHECK(r.reserved >= r.most_allocated);
      CHECK(static_cast<double>(r.reserved.value()) < 1.25 * ledger);
    }
}

TEST_CASE("FSDP's gathered head and embedding and their reduction are handed out beside the ledger") {
  // Llama 3 8B has 2 x 128256 x 4096 numbers in embedding and head, 218.1 million in a block. The most is handed out
  // when the step's last reduction begins: its gradients in 2 bytes, the buffer that they are reduced from in 4, and
  // the buffer of the reduction before; of the states only the shard that it makes is missing. 1 %: the stream's
  // borders.
  const Scenario s = fsdp({});
  const Totals t = evaluate(s, Work::training);
  const double root = 2.0 * 128256 * 4096, block = static_cast<double>(t.parameters_per_layer.value());
  const double states = 16.0 * static_cast<double>(t.parameters.value()) / 8;
  CHECK(static_cast<double>(reserved(s).most_allocated.value()) ==
        Approx(states - root * 4 / 8 + root * (2 + 4) + block * 4).epsilon(0.01));
  // Twice as many devices keep half of what is sharded; the whole tensors stay.
  const Scenario twice = fsdp({"cluster.nodes=2"});
  const double saved = static_cast<double>((reserved(s).most_allocated - reserved(twice).most_allocated).value());
  CHECK(saved == Approx((states - root * 4 / 8) / 2).epsilon(1e-3));
}

TEST_CASE("more micro-batches of a step reserve no more than two, and a pipeline's stages hold their live ones") {
  const auto with = [](const char* global) {
    return reserved(fsdp({fmt::format("training.global_batch={}", global)}));
  };
  CHECK(with("16").reserved == with("64").reserved);
  std::vector<std::string> pipeline{"model.layers=48", "cluster.nodes=1", "cluster.devices_per_node=4",
                                    "training.parallel.pipeline=4", "training.micro_batch=2"};
  const auto held = [&](const char* batch) {
    std::vector<std::string> all = pipeline;
    all.push_back(fmt::format("training.global_batch={}", batch));
    return reserved(gpt2(all)).most_allocated;
  };
  CHECK(held("6") < held("8"));     // three or four live micro-batches on the first stage
  CHECK(held("16") == held("32"));  // four, in the steady state
}

TEST_CASE("torchtitan's reserved memory is predicted within 8 % in the mean") {
  const Folders folders{DTCALC_SOURCE_DIR, {}};
  const published::Comparison c =
      published::compare(published::load_family("torchtitan-bf16", folders).value(), folders);
  bool found = false;
  for (const published::Summary& s : c.summaries) {
    if (s.figure != published::Figure::memory_reserved) continue;
    found = true;
    CHECK(s.rows >= 9);
    CHECK(s.mean_absolute_error <= 0.08);
  }
  CHECK(found);
}
