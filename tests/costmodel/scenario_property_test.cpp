// Properties that hold for every scenario: random ones over the presets' models, devices and stacks, all layouts and
// schedules, precisions, optimizers, fine-tuning and images. layout_property_test.cpp varies the model's form instead.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/towers.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "support/catch.hpp"
#include "support/random_scenario.hpp"

using namespace dtcalc;
using namespace dtcalc::test;
using nlohmann::json;

namespace {

Scenario any(Random& random) {
  std::set<std::string> words;
  return random_scenario(random, DTCALC_SOURCE_DIR, words);
}

std::vector<double> figures(const Totals& t) {
  std::vector<double> list{t.step.value(),
                           t.compute.value(),
                           t.exposed.value(),
                           t.bubble.value(),
                           t.host.value(),
                           t.optimizer.value(),
                           t.mfu,
                           t.hfu,
                           t.forward_flop.value(),
                           t.model_flop.value(),
                           t.hardware_flop.value()};
  for (const Bytes bytes : {t.parameters_bytes, t.gradients_bytes, t.optimizer_bytes, t.activations_bytes,
                            t.logits_bytes, t.workspace_bytes, t.total, t.saved_bytes})
    list.push_back(static_cast<double>(bytes.value()));
  for (const AxisTraffic& axis : t.traffic) list.push_back(axis.sent_bytes), list.push_back(axis.exposed.value());
  return list;
}

Scenario reloaded(const Scenario& scenario) {
  const Result<Scenario> again = load_scenario(to_json(scenario), {DTCALC_SOURCE_DIR, {}});
  INFO(describe(again.errors()));
  REQUIRE(again);
  return *again;
}

/// Prefill and a decode step of the same model on the same device, with random precisions; no value when refused.
Result<Scenario> serving(const Scenario& s, Random& random) {
  json document = to_json(s);
  document.erase("training");
  document["inference"] = {{"batch", random.pick({1, 7, 64})},
                           {"prompt_tokens", random.pick({1, 100, 512})},
                           {"new_tokens", 64},
                           {"tensor", random.pick({1, 2, 4, 8})},
                           {"precision", random.pick({"fp32", "bf16", "fp16"})},
                           {"weights", random.pick({"bf16", "fp8", "fp4"})},
                           {"cache", random.pick({"bf16", "fp8", "fp4"})}};
  return load_scenario(document, {DTCALC_SOURCE_DIR, {}});
}

/// What makes the hardware better: a rate or a size doubled, a time halved, a share raised. Nothing for other keys.
json better(const FieldInfo& info, const json& value) {
  const bool machine = info.pointer.starts_with("/hardware/") || info.pointer.starts_with("/cluster/");
  if (!machine || !value.is_number()) return nullptr;
  if (info.unit == "bytes/s" || info.unit == "FLOP/s" || info.unit == "bytes" || info.unit == "Hz")
    return value.is_number_integer() ? json(2 * value.get<std::int64_t>()) : json(2 * value.get<double>());
  if (info.unit == "s") return value.get<double>() / 2;
  if (info.pointer.ends_with("fraction") || info.pointer.ends_with("efficiency") ||
      info.pointer.find("_fraction/") != std::string_view::npos)
    return std::min(1.0, 1.1 * value.get<double>());
  return nullptr;
}

/// Parameters that one of T ranks holds, from the shapes of the matrices: language models without adapters.
std::int64_t on_one_rank(const Model& m, std::int64_t T) {
  const std::int64_t D = m.hidden_size, H = m.head_size, F = m.mlp_size / T, A = m.heads / T;
  const std::int64_t G = std::max<std::int64_t>(m.kv_heads / T, 1);
  const std::int64_t norm = m.norm == Norm::layer_norm && m.norm_bias ? 2 * D : D;
  const std::int64_t norms = m.block == BlockForm::serial || m.parallel_norms ? 2 : 1;
  const std::int64_t matrices = m.gated_mlp ? 2 : 1;
  std::int64_t layer = D * A * H + 2 * D * G * H + A * H * D + (matrices + 1) * D * F + norms * norm;
  if (m.query_bias) layer += A * H;
  if (m.key_bias) layer += G * H;
  if (m.value_bias) layer += G * H;
  if (m.attention_output_bias) layer += D;
  if (m.mlp_bias) layer += matrices * F + D;
  const std::int64_t rows = (m.vocabulary_size + T - 1) / T;
  const std::int64_t positions = m.position == Position::learned ? m.max_sequence * D : 0;
  const std::int64_t head = (m.tied_embeddings ? 0 : rows * D) + (m.head_bias ? rows : 0);
  return m.layers * layer + rows * D + positions + norm + head;
}

}  // namespace

TEST_CASE("the sample of the property tests covers every schedule, precision, optimizer, method and model") {
  Random random(11);
  std::set<std::string> words;
  for (int i = 0; i < 300; ++i) random_scenario(random, DTCALC_SOURCE_DIR, words);
  for (const char* word : {"gpipe",         "1f1b",         "interleaved",   "zero_bubble", "zero 0",
                           "zero 1",        "zero 2",       "zero 3",        "none",        "selective",
                           "full",          "per_operator", "sgd",           "momentum",    "adamw",
                           "adam8bit",      "fp32",         "bf16_mixed",    "fp16_mixed",  "bf16_mixed_low_gradients",
                           "bf16_autocast", "fp8_mixed",    "bf16_fsdp",     "reward",      "dpo",
                           "ppo",           "adapter",      "fp8",           "fp4",         "naive",
                           "flash",         "vit-b-16",     "clip-vit-b-32", "falcon-40b",  "gpt-j-6b",
                           "b200",          "v100-sxm2-32"}) {
    CAPTURE(word);
    CHECK(words.contains(word));
  }
}

TEST_CASE("every random scenario has finite figures that add up, and figures of its own text") {
  Random random(12);
  for (int i = 0; i < 150; ++i) {
    const Scenario s = any(random);
    const Totals t = evaluate(s, Work::training);
    CAPTURE(i, to_json(s).dump());
    for (const double figure : figures(t)) {
      CHECK(std::isfinite(figure));
      CHECK(figure >= 0);
    }
    CHECK((t.compute + t.exposed + t.bubble + t.optimizer + t.host).value() == Approx(t.step.value()).epsilon(1e-12));
    CHECK(t.parameters_bytes + t.gradients_bytes + t.optimizer_bytes + t.activations_bytes + t.logits_bytes +
              t.workspace_bytes ==
          t.total);
    CHECK(figures(evaluate(reloaded(s), Work::training)) == figures(t));
    CHECK(to_json(reloaded(s)) == to_json(s));
  }
}

TEST_CASE("serving any model has finite figures, and figures of its own text") {
  Random random(13);
  int served = 0;
  for (int i = 0; i < 150; ++i) {
    const Result<Scenario> s = serving(any(random), random);
    if (!s) continue;
    ++served;
    CAPTURE(i, to_json(*s).dump());
    for (const Work work : {Work::prefill, Work::decode}) {
      const std::int64_t context = work == Work::decode ? s->inference.prompt_tokens + 1 : 0;
      const Totals t = evaluate(*s, work, nullptr, context);
      CHECK(t.step.value() > 0);
      for (const double figure : figures(t)) {
        CHECK(std::isfinite(figure));
        CHECK(figure >= 0);
      }
      CHECK(figures(evaluate(reloaded(*s), work, nullptr, context)) == figures(t));
    }
  }
  CHECK(served > 30);
}

TEST_CASE("no figure of a device or a cluster makes a step longer by getting better") {
  Random random(14);
  std::set<std::string_view> tried;
  for (int i = 0; i < 60; ++i) {
    const Scenario s = any(random);
    const Result<Scenario> served = serving(s, random);
    const double training = evaluate(s, Work::training).step.value();
    for (const Field& field : fields()) {
      const json value = better(field.info, field.write(s));
      if (value.is_null()) continue;
      const auto with = [&](const Scenario& before) {
        Scenario after = before;
        std::vector<Error> errors;
        field.read(value, field.info, std::string(field.info.pointer), after, errors);
        return after;
      };
      tried.insert(field.info.pointer);
      CAPTURE(i, field.info.pointer, to_json(s).dump());
      CHECK(evaluate(with(s), Work::training).step.value() <= training * (1 + 1e-12));
      if (!served) continue;
      for (const Work work : {Work::prefill, Work::decode}) {
        const std::int64_t context = work == Work::decode ? 100 : 0;
        CHECK(evaluate(with(*served), work, nullptr, context).step.value() <=
              evaluate(*served, work, nullptr, context).step.value() * (1 + 1e-12));
      }
    }
  }
  for (const char* key : {"/hardware/memory_bandwidth_bytes_per_s", "/hardware/compute_flop_per_s/bf16",
                          "/hardware/kernel_latency_s", "/hardware/launch_overhead_s", "/cluster/link_bytes_per_s",
                          "/cluster/nic_bytes_per_s", "/cluster/link_latency_s", "/cluster/nic_latency_s",
                          "/cluster/link_efficiency", "/hardware/achievable_bandwidth_fraction"}) {
    CAPTURE(key);
    CHECK(tried.contains(key));
  }
}

TEST_CASE("states and saved activations of every stage never grow with T") {
  Random random(15);
  int compared = 0;
  for (int i = 0; i < 80; ++i) {
    Scenario s = any(random);
    if (has_towers(s)) s.training.method = Method::supervised;
    if (has_towers(s)) continue;
    CAPTURE(i, to_json(s).dump());
    std::vector<StageItem> before;
    const std::int64_t replicas = data_parallel(s);  // the batch divides by it
    for (const std::int64_t tensor : {1, 2, 4, 8}) {
      Parallel& p = s.training.parallel;
      if (s.model.heads % tensor != 0) break;
      p.tensor = tensor;
      if (tensor == 1) p.sequence = p.save_full_inputs = false;
      s.cluster.devices_per_node = 1;
      s.cluster.nodes = tensor * p.context * p.pipeline * replicas;
      Details details;
      evaluate(s, Work::training, &details);
      for (std::size_t stage = 0; stage < before.size(); ++stage) {
        const StageItem &now = details.stages[stage], &then = before[stage];
        CHECK(now.memory.parameters <= then.memory.parameters);
        CHECK(now.memory.gradients <= then.memory.gradients);
        CHECK(now.memory.optimizer <= then.memory.optimizer);
        CHECK(now.slot <= then.slot);
        ++compared;
      }
      before = std::move(details.stages);
    }
  }
  CHECK(compared > 200);
}

TEST_CASE("the parameters that ranks hold sum to the whole and what is replicated") {
  for (const char* name : {"gpt2-1.5b", "llama3-8b", "llama3-70b", "falcon-40b", "gpt-j-6b", "mistral-7b"})
    for (const std::int64_t tensor : {1, 2, 4, 8, 16})
      for (const std::int64_t stages : {1, 2, 4}) {
        Result<Scenario> loaded =
            load_scenario_named(name, "h100", DTCALC_SOURCE_DIR,
                                std::vector<std::string>{"training.precision=fp32", "cluster.devices_per_node=8",
                                                         "cluster.nodes=8", "training.global_batch=64"});
        INFO(describe(loaded.errors()));
        REQUIRE(loaded);
        Scenario s = *loaded;
        const Model& m = s.model;
        if (m.heads % tensor != 0 || m.mlp_size % tensor != 0) continue;
        s.training.parallel.tensor = tensor, s.training.parallel.pipeline = stages;
        Details details;
        const Totals t = evaluate(s, Work::training, &details);
        Bytes sum{0};
        for (const StageItem& stage : details.stages) sum += stage.memory.parameters;
        // With a pipeline the last stage has a copy of a tied table.
        const std::int64_t copy =
            stages > 1 && m.tied_embeddings ? (m.vocabulary_size + tensor - 1) / tensor * m.hidden_size : 0;
        CAPTURE(name, tensor, stages);
        CHECK(t.parameters.value() == on_one_rank(m, 1));
        CHECK(sum.value() == 4 * (on_one_rank(m, tensor) + copy));
      }
}

TEST_CASE("the model's FLOPs are the same in every layout, the kernels' but for what is replicated") {
  Random random(16);
  int equal = 0;
  for (int i = 0; i < 100; ++i) {
    Scenario s = any(random);
    if (has_towers(s) || s.model.sliding_window > 0) continue;
    s.attention = AttentionKernel::naive;  // flash computes whole tiles, whose number a ring changes
    Scenario one = s;
    one.training.parallel = Parallel{};
    one.cluster.nodes = one.cluster.devices_per_node = 1;
    one.training.global_batch = one.training.micro_batch;
    const Totals whole = evaluate(one, Work::training), t = evaluate(s, Work::training);
    const double micro_batches =
        static_cast<double>(s.training.global_batch) / static_cast<double>(s.training.micro_batch);
    CAPTURE(i, to_json(s).dump());
    if (s.model.head == Head::contrast) continue;  // compares with all data ranks: more of them, more pairs
    CHECK(t.hardware_flop.value() >= whole.hardware_flop.value() * micro_batches * (1 - 1e-12));
    // With adapters every rank computes x A, and stages begin with a layer that hands its input's gradient on.
    if (s.training.adapter.rank > 0) continue;
    CHECK(t.model_flop.value() == Approx(whole.model_flop.value() * micro_batches).epsilon(1e-12));
    // Replicated are key heads beyond G, padded are rows of the vocabulary.
    const std::int64_t tensor = s.training.parallel.tensor;
    if (tensor > s.model.kv_heads || s.model.vocabulary_size % tensor != 0) continue;
    CHECK(t.hardware_flop.value() == Approx(whole.hardware_flop.value() * micro_batches).epsilon(1e-12));
    ++equal;
  }
  CHECK(equal > 30);
}
