// Holds prefill and decode against the closed forms of Sec. 12-14.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/report/estimate.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario serving_scenario(std::int64_t kv_heads, std::int64_t tensor = 1) {
  Model m = divisible_model();
  m.layers = 3;
  m.kv_heads = kv_heads;
  Scenario s = training_scenario(m, notes_software());
  s.has_training = false;
  s.has_inference = true;
  s.inference.batch = 3;
  s.inference.prompt_tokens = 40;
  s.inference.new_tokens = 20;
  s.inference.tensor = s.cluster.devices_per_node = tensor;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  return s;
}

double bytes_read_of(const Scenario& s, Work work, std::int64_t context, Name name) {
  Details details;
  evaluate(s, work, &details, context);
  double bytes = 0;
  for (const GroupItem& item : details.groups)
    if (item.group->name == name) bytes += item.read_bytes * static_cast<double>(item.count);
  return bytes;
}

}  // namespace

TEST_CASE("FLOPs of a decode step equal the closed form at every context") {
  for (std::int64_t kv_heads : {8, 4, 1})
    for (std::int64_t tensor : {1, 2, 8})
      for (std::int64_t context : {1, 2, 41, 60}) {
        const Scenario s = serving_scenario(kv_heads, tensor);
        const Totals t = evaluate(s, Work::decode, nullptr, context);
        CAPTURE(kv_heads, tensor, context);
        CHECK(t.model_flop.value() == formulas::decode_flops(architecture_of(s.model), 3, context).value());
        CHECK(t.tokens.value() == 3);
        CHECK(t.backward_flop.value() == 0);
      }
}

TEST_CASE("a prefill computes the forward pass, its head for the last position only") {
  const Scenario s = serving_scenario(4);
  const Totals whole = evaluate(s, Work::evaluation), prefill = evaluate(s, Work::prefill);
  const double head = 2.0 * 3 * 96 * 1040;
  CHECK(prefill.model_flop.value() == whole.model_flop.value() - head * 40 + head);
}

TEST_CASE("decode reads the whole cache of the key heads it has, in the cache's precision") {
  for (std::int64_t kv_heads : {8, 2})
    for (std::int64_t tensor : {1, 4}) {
      Scenario s = serving_scenario(kv_heads, tensor);
      const auto keys = [&](std::int64_t context) {
        return bytes_read_of(s, Work::decode, context, Name::attention_scores);
      };
      // One more position adds its keys in every layer, half of (12.1) for one token. The scores' products read queries
      // too, which do not grow.
      for (Dtype cache : {Dtype::bf16, Dtype::fp8, Dtype::fp4}) {
        s.inference.cache = cache;
        const auto expected = formulas::eq_12_1_kv_cache(3, 1, s.model.layers, kv_heads, 12, 2, tensor).value();
        CAPTURE(kv_heads, tensor, half_bytes(cache));
        CHECK(keys(50) - keys(49) == static_cast<double>(expected) / 2 * half_bytes(cache) / 4);
      }
    }
}

TEST_CASE("a local layer reads no more of the cache than its window") {
  Scenario s = serving_scenario(4);
  s.model.sliding_window = 16;
  const auto keys = [&](std::int64_t context) {
    return bytes_read_of(s, Work::decode, context, Name::attention_context);
  };
  s.attention = AttentionKernel::flash;
  const auto all = [&](std::int64_t context) {
    return bytes_read_of(s, Work::decode, context, Name::attention_scores);
  };
  CHECK(all(16) > all(15));
  CHECK(all(60) == all(16));
  CHECK(keys(60) == 0);  // flash attention is one kernel
}

TEST_CASE("cache and weights of an estimate equal (12.1) and (13.1)") {
  for (std::int64_t kv_heads : {8, 2})
    for (std::int64_t tensor : {1, 2, 4}) {
      const Scenario s = serving_scenario(kv_heads, tensor);
      const report::Estimate e = report::estimate(s);
      CAPTURE(kv_heads, tensor);
      CHECK(e.serving->kv_cache == formulas::eq_12_1_kv_cache(3, 60, s.model.layers, kv_heads, 12, 2, tensor));
      CHECK(e.serving->kv_cache_bytes_per_token ==
            formulas::eq_12_1_kv_cache(1, 1, s.model.layers, kv_heads, 12, 2, tensor));
      const double expected = formulas::eq_13_1_inference_memory(architecture_of(s.model), 3, 60, 2, tensor);
      const double states = static_cast<double>((e.totals.parameters_bytes + e.serving->kv_cache).value());
      // (13.1) divides all parameters by T; norms, positions and biases behind a reduction are on every device, and key
      // heads beyond G are too.
      if (tensor == 1) CHECK(states == expected);
      CHECK(states >= expected);
    }
}

TEST_CASE("traffic of decoding is two all-reduces a block and one of the embedding") {
  for (std::int64_t tensor : {2, 4, 8}) {
    const Scenario s = serving_scenario(8, tensor);
    const Totals t = evaluate(s, Work::decode, nullptr, 50);
    const double ring = formulas::tp_decode_comm_bytes(architecture_of(s.model), 3, 1, 2, tensor);
    const double embedding = ring / (2.0 * static_cast<double>(s.model.layers));
    const double sent = t.traffic[static_cast<int>(Axis::tensor)].sent_bytes;
    CAPTURE(tensor);
    // So small a message may travel in a tree, whose ranks send up to the whole of it twice.
    CHECK(sent >= (ring + embedding) * (1 - 1e-12));
    CHECK(sent <= (ring + embedding) * static_cast<double>(tensor) / static_cast<double>(tensor - 1) * (1 + 1e-12));
  }
}

TEST_CASE("the largest batch fits and one more does not") {
  Scenario s = serving_scenario(4);
  s.hardware.memory = Bytes(8 << 20);
  const std::int64_t most = report::estimate(s).serving->max_batch;
  REQUIRE(most > 1);
  s.inference.batch = most;
  CHECK(report::estimate(s).fits);
  s.inference.batch = most + 1;
  CHECK_FALSE(report::estimate(s).fits);
  s.hardware.memory = Bytes(1000);
  CHECK(report::estimate(s).serving->max_batch == 0);
}

TEST_CASE("quantised weights take fewer bytes and never longer") {
  Scenario s = serving_scenario(4);
  Seconds before{1e9};
  Bytes bytes{INT64_MAX};
  for (Dtype weights : {Dtype::bf16, Dtype::fp8, Dtype::fp4}) {
    s.inference.weights = weights;
    const report::Estimate e = report::estimate(s);
    CHECK(e.totals.parameters_bytes < bytes);
    CHECK(e.serving->decode_step <= before);
    bytes = e.totals.parameters_bytes;
    before = e.serving->decode_step;
  }
}

TEST_CASE("the groups of prefill and decode add up to TTFT and TPOT, to their FLOPs and bytes") {
  for (const std::int64_t tensor : {1, 4})
    for (const bool training : {false, true}) {
      Scenario s = serving_scenario(4, tensor);
      s.has_training = training;
      const report::Estimate e = report::estimate(s);
      CAPTURE(tensor, training);
      for (const char* phase : {"prefill", "decode"}) {
        const bool prefill = phase == std::string_view("prefill");
        double seconds = 0, flop = 0, bytes = 0;
        for (const report::OperatorRow& row : e.serving_operators) {
          if (row.phase != phase) continue;
          seconds += row.time.value(), flop += row.flop.value(), bytes += row.read_bytes + row.written_bytes;
        }
        CAPTURE(phase);
        CHECK(seconds == Approx((prefill ? e.serving->prefill : e.serving->decode_step).value()).epsilon(1e-12));
        CHECK(flop / bytes ==
              Approx(prefill ? e.serving->prefill_intensity : e.serving->decode_intensity).epsilon(1e-12));
      }
      // A table of both has the step's rows first; a service alone has no rows of a step.
      const std::vector<report::OperatorRow> printed = report::printed_operators(e);
      CHECK(printed.size() == e.serving_operators.size() + (training ? e.operators.size() : 0));
      CHECK(report::to_json(e, true)["inference"]["operators"].size() == e.serving_operators.size());
    }
}
