// What stacks without fused norms, rotary embedding and loss move and keep, against counts by hand.
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario llama(const std::vector<std::string>& changes) {
  std::vector<std::string> all{"training.micro_batch=1",     "training.sequence=1024",       "cluster.nodes=1",
                               "cluster.devices_per_node=8", "training.global_batch=8",      "training.parallel.zero=3",
                               "software=torchtitan-eager",  "training.precision=bf16_fsdp", "training.recompute=none"};
  all.insert(all.end(), changes.begin(), changes.end());
  return load_scenario_named("llama3-8b", "h100", DTCALC_SOURCE_DIR, all).value();
}

/// Bytes that a step moves and kernels that it launches in groups of one name and phase.
struct Moved {
  double bytes = 0;
  std::int64_t kernels = 0;
};
Moved moved(const Scenario& scenario, std::string_view name, std::string_view phase) {
  Moved sum;
  for (const report::OperatorRow& row : report::estimate(scenario).operators)
    if (row.name == name && row.phase == phase)
      sum.bytes += row.read_bytes + row.written_bytes, sum.kernels += row.kernels;
  return sum;
}

}  // namespace

TEST_CASE("an unfused norm moves 32 bytes more per element forward and 86 backward, in 7 and 15 more kernels") {
  const std::vector<std::string> fused{"software.fuse_norm=true"};
  const double elements = 32.0 * 1024 * 4096;
  const Moved forward = moved(llama({}), "block.mlp.norm", "forward"),
              plain = moved(llama(fused), "block.mlp.norm", "forward");
  CHECK(forward.bytes - plain.bytes == Approx(32 * elements));
  CHECK(forward.kernels - plain.kernels == 7 * 32);
  const Moved backward = moved(llama({}), "block.mlp.norm", "backward"),
              plain_backward = moved(llama(fused), "block.mlp.norm", "backward");
  CHECK(backward.bytes - plain_backward.bytes == Approx((4 * 19 + 2 * 5) * elements));
  CHECK(backward.kernels - plain_backward.kernels == 15 * 32);
  // The copy in 4 bytes stands for the input in 2, and x / rms(x) is kept for the gain: 4 bytes more, of 65 norms
  // less the final one, which runs in the head.
  CHECK(evaluate(llama({}), Work::training).saved_bytes - evaluate(llama(fused), Work::training).saved_bytes ==
        Bytes(64LL * 1024 * 4096 * 4));
}

TEST_CASE("an unfused rotary embedding moves 16 bytes more per element, both ways") {
  const std::vector<std::string> fused{"software.fuse_rope=true"};
  const double elements = 32.0 * 1024 * (4096 + 1024);  // queries and keys
  for (const char* phase : {"forward", "backward"}) {
    double more = 0;
    std::int64_t kernels = 0;
    for (const char* name : {"block.attention.query.rope", "block.attention.key.rope"}) {
      const Moved chain = moved(llama({}), name, phase), one = moved(llama(fused), name, phase);
      more += chain.bytes - one.bytes, kernels += chain.kernels - one.kernels;
    }
    CHECK(more == Approx(16 * elements));
    CHECK(kernels == 2 * 2 * 32);
  }
}

TEST_CASE("a copying loss keeps 12 bytes per logit where a fused one keeps 4") {
  const std::int64_t logits = 1024LL * 128256;
  CHECK(evaluate(llama({"software.copy_logits=true"}), Work::training).logits_bytes == Bytes(12 * logits));
  CHECK(evaluate(llama({"software.copy_logits=false"}), Work::training).logits_bytes == Bytes(4 * logits));
  const Result<Scenario> refused = load_scenario_named("llama3-8b", "h100", DTCALC_SOURCE_DIR,
                                                       std::vector<std::string>{"software.copy_logits=true"});
  REQUIRE_FALSE(refused);
  CHECK(refused.errors().front().place == "/software/copy_logits");
}

TEST_CASE("selective checkpointing holds the last product's result, which nothing reads") {
  const std::vector<std::string> kept{"training.recompute=per_operator"},
      read{"training.recompute=per_operator", "software.keep_unread_results=false"};
  CHECK(evaluate(llama(kept), Work::training).saved_bytes - evaluate(llama(read), Work::training).saved_bytes ==
        Bytes(32LL * 1024 * 4096 * 2));
}
