// Limits of a replica, beam search and speculative decoding: the evaluation against the closed forms.
#include "costmodel/evaluate/generation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "costmodel/formulas/inference.hpp"
#include "costmodel/formulas/speculative.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario serving(std::int64_t kv_heads = 8, std::int64_t tensor = 1) {
  Model m = divisible_model();
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

bool near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * std::abs(b); }

}  // namespace

TEST_CASE("the smallest tensor width is the first whose memory suffices, and never below (14.1)") {
  for (const std::int64_t kv_heads : {8, 2}) {
    Scenario s = serving(kv_heads);
    for (const double share : {1.5, 0.7, 0.4, 0.25, 0.01}) {
      s.hardware.memory =
          Bytes(static_cast<std::int64_t>(share * static_cast<double>(serving_bytes(serving(kv_heads)).value())));
      std::optional<std::int64_t> first;
      for (const std::int64_t tensor : {1, 2, 4, 8}) {
        Scenario wide = s;
        wide.inference.tensor = wide.cluster.devices_per_node = tensor;
        if (!first && serving_bytes(wide) <= s.hardware.memory) first = tensor;
      }
      const ServingLimits limits = serving_limits(s);
      CAPTURE(kv_heads, share);
      CHECK(limits.smallest_tensor == first);
      if (limits.smallest_tensor && limits.closed_tensor) CHECK(*limits.smallest_tensor >= *limits.closed_tensor);
      if (limits.smallest_tensor) CHECK(limits.closed_tensor.has_value());
    }
  }
  // Weights and cache dominate here, so that both forms say two devices.
  Scenario large = serving();
  large.model.vocabulary_size = 8;
  large.model.hidden_size = 960, large.model.head_size = 120, large.model.mlp_size = 3840;
  large.hardware.memory = Bytes(serving_bytes(large).value() * 3 / 4);
  CHECK(serving_limits(large).smallest_tensor == 2);
  CHECK(serving_limits(large).closed_tensor == 2);
}

TEST_CASE("products with weights become compute-bound at the closed form's batch") {
  for (const std::int64_t kv_heads : {8, 2})
    for (const std::int64_t tensor : {1, 2})
      for (const bool gated : {false, true})
        for (const Dtype weights : {Dtype::bf16, Dtype::fp8}) {
          Scenario s = serving(kv_heads, tensor);
          s.model.gated_mlp = gated;
          s.inference.weights = weights;
          s.hardware.memory_bandwidth = BytesPerSecond(312e12 / 20);  // ridge 20 FLOP/B
          const double p = half_bytes(weights) / 2.0;
          const double exact =
              formulas::compute_bound_batch(architecture_of(s.model), p, 2, static_cast<double>(tensor), 20);
          const ServingLimits limits = serving_limits(s);
          CAPTURE(kv_heads, tensor, gated, p, exact);
          REQUIRE(limits.compute_bound_batch);
          CHECK(*limits.compute_bound_batch == static_cast<std::int64_t>(std::ceil(exact * (1 - 1e-12))));
          CHECK(limits.closed_batch == p * 10);
          CHECK(limits.closed_batch <= exact);
        }
  Scenario never = serving();
  never.hardware.memory_bandwidth = BytesPerSecond(312e12 / 1e4);
  CHECK_FALSE(serving_limits(never).compute_bound_batch);
  CHECK(std::isinf(formulas::compute_bound_batch(architecture_of(never.model), 2, 2, 1, 1e4)));
}

TEST_CASE("beams share the prompt's cache or copy it, as the closed form counts") {
  for (const std::int64_t kv_heads : {8, 2, 1})
    for (const std::int64_t tensor : {1, 4})
      for (const std::int64_t beams : {1, 4, 7}) {
        const Scenario s = serving(kv_heads, tensor);
        const BeamSearch b = beam_search_of(s, beams);
        CAPTURE(kv_heads, tensor, beams);
        const auto closed = [&](bool shared) {
          return formulas::beam_cache(3, beams, 40, 20, shared, s.model.layers, kv_heads, 12, 2, tensor);
        };
        CHECK(b.shared_cache == closed(true));
        CHECK(b.copied_cache == closed(false));
        Scenario plain = s;
        plain.inference.batch = 3 * beams;
        CHECK(b.shared_step == decode_step_of(plain));
        CHECK(b.decode_flop.value() ==
              formulas::decode_flops(architecture_of(s.model), 3 * beams, halfway_context(s.inference)).value());
        // Every cached position of every beam is read and written.
        CHECK(b.reorder.value() == 2 * formulas::eq_12_1_kv_cache(3 * beams, halfway_context(s.inference),
                                                                  s.model.layers, kv_heads, 12, 2, tensor)
                                           .value());
        CHECK(b.copied_step > b.shared_step);
        if (beams == 1) CHECK(b.copied_total == serving_bytes(s));
        if (beams == 1) CHECK(b.shared_total == b.copied_total);
      }
}

TEST_CASE("a local layer's beams share what of the prompt is left in the window") {
  Scenario s = serving();
  s.model.sliding_window = 32;  // of 60 positions: 20 new ones and 12 of the prompt
  const BeamSearch b = beam_search_of(s, 4);
  CHECK(b.shared_cache == cache_bytes(s, 1) * (3 * (12 + 4 * 20)));
  s.model.sliding_window = 16;
  CHECK(beam_search_of(s, 4).shared_cache == beam_search_of(s, 4).copied_cache);
}

TEST_CASE("speculative decoding follows the closed form when a pass costs a decode step") {
  // One sequence and arithmetic that is free: a pass over more tokens reads the same bytes.
  Scenario s = serving();
  s.inference.batch = 1;
  for (ComputeRate& rate : s.hardware.compute) rate.rate = FlopPerSecond(1e18);
  Model draft = s.model;
  draft.layers = 1;
  for (const double alpha : {0.3, 0.8, 1.0}) {
    const Result<Speculative> r = speculative_of(s, draft, alpha);
    REQUIRE(r);
    REQUIRE(r->rows.size() == kMostDrafts + 1);
    CHECK(near(r->cost_ratio, r->draft_step / r->target_step, 1e-15));
    CHECK(near(r->rows[0].speedup, 1, 1e-12));
    for (const SpeculativeRow& row : r->rows) {
      CAPTURE(alpha, row.gamma);
      CHECK(row.expected_tokens == formulas::spec_expected_tokens(alpha, row.gamma));
      CHECK(row.verify >= r->target_step * (1 - 1e-12));
      CHECK(row.speedup <= row.closed_speedup * (1 + 1e-12));
      // What a pass costs more than a step are the activations and logits of its further tokens.
      const double more = row.verify / r->target_step - 1;
      CHECK(
          near(row.expected_tokens / (static_cast<double>(row.gamma) * r->cost_ratio + 1 + more), row.speedup, 1e-12));
      CHECK(row.speedup <= r->rows[r->best].speedup);
    }
    CHECK(r->closed_gamma == formulas::spec_optimal_gamma(alpha, r->cost_ratio, kMostDrafts));
    CHECK(near(r->tpot.value() * r->rows[r->best].speedup, r->target_step.value(), 1e-12));
  }
}

TEST_CASE("a pass over more tokens costs more once its products are compute-bound, so fewer drafts pay") {
  Scenario s = serving();
  Model draft = s.model;
  draft.layers = 1;
  const auto best = [&](std::int64_t batch) {
    s.inference.batch = batch;
    const Result<Speculative> r = speculative_of(s, draft, 0.8);
    return r->rows[r->best];
  };
  s.hardware.memory_bandwidth = BytesPerSecond(312e12 / 20);
  CHECK(best(4096).gamma < best(1).gamma);
  CHECK(best(4096).speedup < best(1).speedup);
}

TEST_CASE("a draft as slow as its target never pays, and one that cannot serve is refused") {
  Scenario s = serving();
  const Result<Speculative> same = speculative_of(s, s.model, 0.9);
  REQUIRE(same);
  CHECK(same->cost_ratio == 1);
  CHECK(same->rows[same->best].gamma == 0);
  CHECK(same->closed_gamma == 0);
  CHECK(same->total == serving_bytes(s) * 2);
  Model small = s.model;
  small.max_sequence = 30;
  CHECK_FALSE(speculative_of(s, small, 0.9));
  // A draft that the target's devices cannot share runs on one.
  s.inference.tensor = s.cluster.devices_per_node = 8;
  Model three = s.model;
  three.heads = three.kv_heads = 3;
  three.hidden_size = 36;
  CHECK(speculative_of(s, three, 0.9)->draft_tensor == 1);
}
