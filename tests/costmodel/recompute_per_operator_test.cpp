// Selective checkpointing per operator, and the precision set of FSDP2: what they keep, repeat and gather.
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario llama(const std::vector<std::string>& changes) {
  std::vector<std::string> all{"training.micro_batch=1",     "training.sequence=1024",  "cluster.nodes=1",
                               "cluster.devices_per_node=8", "training.global_batch=8", "training.parallel.zero=3",
                               "software=torchtitan-eager"};
  all.insert(all.end(), changes.begin(), changes.end());
  return load_scenario_named("llama3-8b", "h100", DTCALC_SOURCE_DIR, all).value();
}

}  // namespace

TEST_CASE("recomputation per operator repeats every second product, and keeps attention") {
  const Scenario s = llama({"training.recompute=per_operator"});
  const Model& m = s.model;
  const Totals t = evaluate(s, Work::training);
  // Of query, key, value, output, gate, up and down, the second, fourth and sixth.
  const double D = static_cast<double>(m.hidden_size), F = static_cast<double>(m.mlp_size),
               K = static_cast<double>(m.kv_heads * m.head_size), tokens = 8 * 1024;
  CHECK(t.recompute_flop.value() == Approx(2 * tokens * static_cast<double>(m.layers) * (D * K + D * D + D * F)));
  const Totals none = evaluate(llama({"training.recompute=none"}), Work::training);
  const Totals full = evaluate(llama({"training.recompute=full"}), Work::training);
  CHECK(t.saved_bytes < none.saved_bytes);
  CHECK(t.saved_bytes > full.saved_bytes);
  CHECK(t.step > none.step);
  CHECK(t.step < full.step);
}

TEST_CASE("attention whose result is not kept runs again, and is not saved") {
  const Totals kept = evaluate(llama({"training.recompute=per_operator"}), Work::training);
  const Scenario s = llama({"training.recompute=per_operator", "software.keep_attention_result=false"});
  const Totals again = evaluate(s, Work::training);
  const Model& m = s.model;
  // Per layer and token its output in 2 bytes and a log-sum-exp of 4 per head.
  const std::int64_t per_token = 2 * m.hidden_size + 4 * m.heads;
  CHECK(kept.saved_bytes - again.saved_bytes == Bytes(m.layers * 1024 * per_token));
  CHECK(again.recompute_flop > kept.recompute_flop);
  CHECK(again.step > kept.step);
}

TEST_CASE("FSDP2's mixed precision keeps fp32 shards and gathers two bytes") {
  const Totals fsdp = evaluate(llama({"training.precision=bf16_fsdp"}), Work::training);
  const Totals autocast = evaluate(llama({"training.precision=bf16_autocast"}), Work::training);
  CHECK(fsdp.parameters_bytes == autocast.parameters_bytes);
  CHECK(fsdp.optimizer_bytes == autocast.optimizer_bytes);
  CHECK(fsdp.saved_bytes < autocast.saved_bytes);  // no fp32 stream
  // Per rank and micro-batch: 7/8 of the parameters twice, and of the gradients in fp32 once.
  const double parameters = static_cast<double>(fsdp.parameters.value());
  CHECK(fsdp.traffic[static_cast<int>(Axis::data)].sent_bytes ==
        Approx(7.0 / 8 * parameters * (2 * 2 + 4)).epsilon(1e-6));
  const std::vector<std::string> without_zero{"training.precision=bf16_fsdp"};
  const Result<Scenario> refused = load_scenario_named("gpt2-124m", "h100", DTCALC_SOURCE_DIR, without_zero);
  REQUIRE_FALSE(refused);
  CHECK(refused.errors().front().place == "/training/precision");
}
