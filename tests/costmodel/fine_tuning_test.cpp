// Adapters and packed weights in the graph against their closed forms, and the methods of fine-tuning as sums of
// towers.
#include "costmodel/formulas/fine_tuning.hpp"

#include <string>
#include <vector>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

formulas::Adapted adapted(const std::vector<std::string>& targets) {
  formulas::Adapted a;
  for (const std::string& t : targets) {
    a.q = a.q || t == "query", a.k = a.k || t == "key", a.v = a.v || t == "value", a.o = a.o || t == "output";
    a.gate = a.gate || t == "gate", a.up = a.up || t == "up", a.down = a.down || t == "down";
  }
  return a;
}

std::vector<Model> models() {
  Model gpt = small_model(), llama = small_model(), parallel = small_model();
  llama.norm = Norm::rms_norm, llama.norm_bias = false, llama.gated_mlp = true, llama.activation = Activation::silu;
  llama.position = Position::rope, llama.kv_heads = 2, llama.tied_embeddings = false;
  llama.query_bias = llama.key_bias = llama.value_bias = llama.attention_output_bias = llama.mlp_bias = false;
  parallel.block = BlockForm::parallel, parallel.residual_dropout = 0.1;
  return {gpt, llama, parallel};
}

Scenario with_adapter(const Model& m, std::int64_t rank, const std::vector<std::string>& targets) {
  Scenario s = training_scenario(m, notes_software());
  s.training.adapter = {rank, targets};
  return s;
}

Scenario loaded(const std::string& model, std::vector<std::string> set) {
  const std::filesystem::path data = DTCALC_SOURCE_DIR;
  Result<Scenario> s = load_scenario_named(model, "h100", data, set);
  INFO(describe(s.errors()));
  REQUIRE(s);
  return *s;
}

const std::vector<std::vector<std::string>> kTargets{{"query", "value"},
                                                     {"query"},
                                                     {"output"},
                                                     {"up"},
                                                     {"down"},
                                                     {"key", "down"},
                                                     {"query", "key", "value", "output", "up", "down"}};

}  // namespace

TEST_CASE("adapters have r (m + n) parameters, and nothing else is trained") {
  for (const Model& m : models())
    for (const auto& targets : kTargets) {
      const Totals t = evaluate(with_adapter(m, 4, targets), true);
      const auto expected = formulas::adapter_parameters(architecture_of(m), 4, adapted(targets));
      CHECK(t.trained_parameters == expected);
      CHECK(t.parameters == formulas::param_count(architecture_of(m)).total + expected);
      CHECK(t.gradients_bytes.value() == 4 * expected.value());
      CHECK(t.optimizer_bytes.value() == 12 * expected.value());
    }
}

TEST_CASE("adapters of Llama 2 7B count as PEFT prints them") {
  // print_trainable_parameters() of LoraConfig(r=8, target_modules=["q_proj", "v_proj"]) on meta-llama/Llama-2-7b-hf:
  // trainable params: 4,194,304 || all params: 6,742,609,920 || trainable%: 0.0622
  const Totals t = evaluate(loaded("llama2-7b", {"training.adapter.rank=8"}), true);
  CHECK(t.trained_parameters.value() == 4194304);
  CHECK(t.parameters.value() == 6742609920);
}

TEST_CASE("model FLOPs with adapters equal the closed form: no weight gradient of what is frozen") {
  for (const Model& m : models())
    for (const auto& targets : kTargets)
      for (Recompute recompute : {Recompute::none, Recompute::full}) {
        Scenario s = with_adapter(m, 4, targets);
        s.training.recompute = recompute;
        CAPTURE(targets, static_cast<int>(m.block), m.gated_mlp);
        CHECK(evaluate(s, true).model_flop ==
              formulas::adapter_flops(architecture_of(m), 2, m.max_sequence, 4, adapted(targets)));
      }
}

TEST_CASE("training beside frozen weights takes two thirds of the FLOPs: 4N for 6N") {
  const std::vector<std::string> batch{"training.sequence=512"};
  std::vector<std::string> lora = batch;
  lora.emplace_back("training.adapter.rank=8");
  const Totals full = evaluate(loaded("llama2-7b", batch), true), low = evaluate(loaded("llama2-7b", lora), true);
  // Attention's own products are trained in both, 1/40 of the whole at this length; the embedding's rows multiply
  // nothing, 1/51 of N.
  CHECK(low.model_flop / full.model_flop > 0.666);
  CHECK(low.model_flop / full.model_flop < 0.68);
  const double ratio = low.model_flop / formulas::frozen_weights_flops(1, 512, 6738415616);
  CHECK(ratio > 0.98);
  CHECK(ratio < 1.02);
}

TEST_CASE("what only frozen weights would read is not saved") {
  const Model m = models()[1];
  const auto saves = [](const Scenario& s, Name name, std::string_view suffix) {
    Details details;
    evaluate(s, true, &details);
    for (const SavedItem& item : details.saved)
      if (item.tensor->name == name && item.tensor->suffix == suffix) return true;
    return false;
  };
  const Scenario attention = with_adapter(m, 4, {"query", "value"}), full = training_scenario(m, notes_software());
  const Scenario mlp = with_adapter(m, 4, {"up"});
  CHECK(saves(full, Name::mlp_norm, ""));
  CHECK_FALSE(saves(attention, Name::mlp_norm, ""));  // the input of up and gate
  CHECK(saves(mlp, Name::mlp_norm, ""));
  CHECK(saves(attention, Name::mlp_activation, ""));      // the gate product needs it to hand gradients on
  CHECK_FALSE(saves(attention, Name::mlp_multiply, ""));  // the input of down
  CHECK(saves(full, Name::mlp_multiply, ""));
  CHECK(saves(attention, Name::attention_query_adapter, ""));  // A x
}

TEST_CASE("the peak has no gradients and moments of frozen weights") {
  const Model m = small_model();
  Scenario s = training_scenario(m, notes_software());
  const Totals all = evaluate(s, true);
  s.training.frozen = {"query", "key", "value", "output", "up", "down"};
  const Totals some = evaluate(s, true);
  const std::int64_t frozen = (all.trained_parameters - some.trained_parameters).value();
  CHECK(all.total - some.total >= Bytes(16 * frozen));  // and activations that nobody reads any more
}

TEST_CASE("packed matrices take half a byte and their scales, and are unpacked for either pass") {
  for (const Model& m : models())
    for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      Scenario s = with_adapter(m, 4, {"query", "value"});
      s.training.recompute = recompute;
      const Totals plain = evaluate(s, true);
      s.training.frozen_weights = Dtype::fp4;
      Details details;
      const Totals packed = evaluate(s, true, &details);
      const std::int64_t matrices = m.layers * formulas::block_matrices(architecture_of(m)).value();
      CHECK((plain.parameters_bytes - packed.parameters_bytes).value() ==
            2 * matrices - (matrices / 2 + (matrices + 63) / 64 + 4 * ((matrices + 16383) / 16384)));
      CHECK(packed.parameters == plain.parameters);
      CHECK(packed.model_flop == plain.model_flop);
      CHECK(packed.saved_bytes == plain.saved_bytes);  // no unpacked copy is kept
      CHECK(packed.total < plain.total);
      CHECK(packed.step > plain.step);
    }
}

TEST_CASE("a pipeline's inner stages hand gradients on though only adapters are trained") {
  Scenario s = with_adapter(divisible_model(), 4, {"query", "value"});
  s.training.global_batch = 8;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  const Totals one = evaluate(s, true);
  s.cluster.devices_per_node = s.training.parallel.pipeline = 2;
  const Totals two = evaluate(s, true);
  CHECK(two.trained_parameters == one.trained_parameters);
  CHECK(two.backward_flop > one.backward_flop);  // the first layer's query, key and value as well
  CHECK(two.backward_flop < 1.2 * one.backward_flop);
}

TEST_CASE("DPO is the policy on both answers and a forward pass of its reference") {
  Scenario s = training_scenario(models()[1], notes_software());
  Scenario both = s;
  both.training.micro_batch = both.training.global_batch = 4;
  const Totals policy = evaluate(both, true);
  s.training.method = Method::dpo;
  Details details;
  const Totals dpo = evaluate(s, true, &details);
  REQUIRE(details.towers.size() == 2);
  CHECK(dpo.forward_flop == 2 * policy.forward_flop);
  CHECK(dpo.backward_flop == policy.backward_flop);
  CHECK(dpo.parameters == policy.parameters * 2);
  CHECK(dpo.trained_parameters == policy.trained_parameters);
  CHECK(dpo.parameters_bytes == policy.parameters_bytes * 2);
  CHECK(dpo.gradients_bytes == policy.gradients_bytes);
  CHECK(dpo.total >= policy.total + policy.parameters_bytes);
  CHECK(details.towers[1].totals.saved_bytes == Bytes(0));
  CHECK(details.towers[1].totals.optimizer == Seconds(0));
  CHECK(dpo.step > policy.step);
  Seconds sum{0};
  for (const GroupItem& g : details.groups) sum += Seconds(g.seconds * static_cast<double>(g.count));
  CHECK(std::abs((sum - dpo.step).value()) < 1e-9 * dpo.step.value());

  // Beside adapters the reference is the policy without them: a forward pass, no memory of its own but scratch.
  s.training.adapter = {4, {"query", "value"}};
  both.training.adapter = s.training.adapter;
  const Totals low = evaluate(s, true), alone = evaluate(both, true);
  CHECK(low.parameters == alone.parameters);
  CHECK(low.parameters_bytes == alone.parameters_bytes);
  CHECK(low.forward_flop > 1.9 * alone.forward_flop);
}

TEST_CASE("a reward model has a head of one number over pairs") {
  Scenario s = training_scenario(models()[1], notes_software());
  const Totals language = evaluate(s, true);
  s.training.method = Method::reward;
  const Totals t = evaluate(s, true);
  const std::int64_t vocabulary = s.model.vocabulary_size * s.model.hidden_size;
  CHECK(t.parameters.value() == language.parameters.value() - vocabulary + s.model.hidden_size);
  CHECK(t.tokens == language.tokens * 2);
}

TEST_CASE("PPO writes, scores by four models and trains two") {
  Scenario s = loaded("llama2-7b", {"training.method=ppo", "training.sequence=1024", "training.micro_batch=2"});
  CHECK(s.training.prompt_tokens == 512);
  Details details;
  const Totals t = evaluate(s, true, &details);
  REQUIRE(details.towers.size() == 8);
  const std::int64_t n = 6738415616;
  CHECK(t.trained_parameters.value() > 2 * n - 300000000);  // policy, and a value model without head
  CHECK(t.parameters.value() > 4 * n - 600000000);
  const double ratio = t.model_flop / formulas::ppo_flops(2, 1024, n);
  CHECK(ratio > 0.97);  // reward and value models have no head over the vocabulary, 2 % of N
  CHECK(ratio < 1.04);  // attention's S x S products
  double decode = 0;
  for (const TowerItem& tower : details.towers)
    if (tower.name == "policy, writing") decode = tower.totals.step.value() * static_cast<double>(tower.runs);
  CHECK(decode > 0.5 * t.step.value());  // 511 steps that read all weights each
}

TEST_CASE("the largest structure stays within the arrays of an evaluation") {
  Model m = models()[1];
  m.qk_norm = QkNorm::per_head, m.norm_placement = NormPlacement::sandwich;
  m.residual_dropout = m.attention_dropout = m.embedding_dropout = 0.1;
  m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = m.head_bias = true;
  m.attention_softcap = m.final_softcap = 30, m.sliding_window = 8, m.global_layer_every = 2;
  m.layers = 4;
  for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full})
    for (Precision precision : {Precision::bf16_mixed, Precision::bf16_autocast}) {
      Scenario s = with_adapter(m, 4, {"query", "key", "value", "output", "gate", "up", "down"});
      s.training.frozen_weights = Dtype::fp4;
      s.training.recompute = recompute, s.training.precision = precision;
      s.cluster.devices_per_node = s.training.parallel.tensor = 2;
      s.training.parallel.sequence = true;
      const Structure& structure = cached_structure(choices_of(s, true));
      CHECK(structure.extents.size() <= kMaxExtents);
      std::size_t groups = 0;
      for (int i = 0; i < static_cast<int>(structure.blocks.size()) + 2; ++i) {
        const LoweredSegment& segment = segment_of(structure, i);
        CHECK(segment.parameters.size() <= kMaxBuffers);
        CHECK(segment.saved.size() <= kMaxBuffers);
        for (const Program* p : {&segment.forward, &segment.backward}) {
          CHECK(p->scratch.size() <= kMaxBuffers);
          groups += p->groups.size();
        }
      }
      CAPTURE(groups, structure.extents.size());
      CHECK(groups <= kMaxGroups);
    }
}

TEST_CASE("what adapters and methods cannot go with is refused") {
  const auto refused = [](std::vector<std::string> set, std::string_view place) {
    const std::filesystem::path data = DTCALC_SOURCE_DIR;
    const Result<Scenario> s = load_scenario_named("gpt2-124m", "h100", data, set);
    REQUIRE_FALSE(s);
    CAPTURE(set, describe(s.errors()));
    CHECK(s.errors().front().place == place);
  };
  refused({"training.adapter.rank=4", "training.adapter.targets=[\"gate\"]"}, "/training/adapter/targets");
  refused({"training.adapter.rank=4", "training.adapter.targets=[]"}, "/training/adapter/targets");
  refused({"training.adapter.rank=4000"}, "/training/adapter/rank");
  refused({"training.adapter.rank=4", "training.frozen=[\"query\"]"}, "/training/frozen");
  refused({"training.adapter.rank=4", "training.frozen_weights=fp16"}, "/training/frozen_weights");
  refused({"training.frozen_weights=fp4"}, "/training/frozen_weights");
  refused({"training.frozen_weights=fp4", "training.frozen=[\"norm\"]"}, "/training/frozen_weights");
  refused({"training.adapter.targets=[\"key\"]"}, "/training/adapter/targets");
  refused({"training.prompt_tokens=12"}, "/training/prompt_tokens");
  refused({"training.method=ppo", "training.prompt_tokens=1024"}, "/training/prompt_tokens");
  refused({"training.method=ppo", "training.parallel.pipeline=2", "cluster.devices_per_node=2"}, "/training/method");
}
