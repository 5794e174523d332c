// Holds the operator graph against the closed forms, which share no code with it: parameters, saved activations and
// FLOPs, over the variants of the notes.
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

/// Every value of every variant at least once, in mixed company.
std::vector<Model> variants() {
  std::vector<Model> list;
  const auto add = [&](auto&& change) {
    Model m = small_model();
    change(m);
    list.push_back(m);
  };
  add([](Model&) {});
  add([](Model& m) { m.residual_dropout = m.attention_dropout = m.embedding_dropout = 0.1; });
  add([](Model& m) { m.residual_dropout = 0.1, m.activation = Activation::relu, m.head_bias = true; });
  add([](Model& m) { m.attention_dropout = 0.1, m.activation = Activation::tanh, m.tied_embeddings = false; });
  add([](Model& m) {
    m.norm = Norm::rms_norm, m.gated_mlp = true, m.activation = Activation::silu, m.position = Position::rope;
    m.kv_heads = 2, m.tied_embeddings = false;
    m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = false;
  });
  add([](Model& m) {
    m.block = BlockForm::parallel, m.parallel_norms = true, m.kv_heads = 1, m.position = Position::alibi;
    m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = false;
  });
  add([](Model& m) {
    m.block = BlockForm::parallel, m.norm_bias = false, m.gated_mlp = true, m.residual_dropout = 0.1;
  });
  add([](Model& m) {
    m.norm_placement = NormPlacement::post, m.final_norm = false, m.activation = Activation::sigmoid;
  });
  add([](Model& m) {
    m.norm_placement = NormPlacement::sandwich, m.norm = Norm::rms_norm, m.gated_mlp = true;
    m.activation = Activation::gelu_tanh, m.position = Position::rope, m.head_size = 8, m.kv_heads = 3;
  });
  add([](Model& m) { m.layers = 1, m.position = Position::none; });
  return list;
}

}  // namespace

TEST_CASE("parameters of the graph equal the closed form") {
  for (Model m : variants()) {
    CAPTURE(m.layers, static_cast<int>(m.block), static_cast<int>(m.norm_placement));
    const Totals t = evaluate(training_scenario(m, notes_software()), true);
    const auto expected = formulas::param_count(architecture_of(m));
    CHECK(t.parameters.value() == expected.total.value());
    if (m.layers > 1) CHECK(t.parameters_per_layer.value() == expected.block.value());
  }
}

TEST_CASE("query and key norms count their vectors") {
  Model m = small_model();
  m.kv_heads = 2;
  m.norm = Norm::rms_norm;  // the norm of queries and keys has no bias
  for (QkNorm norm : {QkNorm::per_head, QkNorm::full}) {
    m.qk_norm = norm;
    CHECK(evaluate(training_scenario(m, notes_software()), true).parameters.value() ==
          formulas::param_count(architecture_of(m)).total.value());
  }
}

TEST_CASE("saved activations of the notes' stack equal (3.5)-(3.8) and their generalisation") {
  for (const Model& m : variants())
    for (AttentionKernel attention : {AttentionKernel::naive, AttentionKernel::flash})
      for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        // The closed form speaks of pre-norm blocks.
        if (m.norm_placement != NormPlacement::pre) continue;
        if (attention == AttentionKernel::flash && recompute == Recompute::selective) continue;
        Scenario s = training_scenario(m, notes_software());
        s.attention = attention;
        s.training.recompute = recompute;
        Details details;
        evaluate(s, true, &details);
        std::int64_t saved = 0;
        for (const SavedItem& item : details.saved)
          if (item.segment > 0 && item.segment <= block_kinds(m)) saved += item.layers * item.bytes_per_layer.value();
        formulas::ActivationOptions o;
        o.attention_dropout = m.attention_dropout > 0;
        o.residual_dropout = m.residual_dropout > 0;
        o.flash = attention == AttentionKernel::flash;
        o.recomputation = recompute == Recompute::none        ? formulas::Recomputation::none
                          : recompute == Recompute::selective ? formulas::Recomputation::selective
                                                              : formulas::Recomputation::full;
        CAPTURE(static_cast<int>(m.block), static_cast<int>(m.activation), m.attention_dropout, o.flash,
                static_cast<int>(recompute));
        CHECK(saved == formulas::activation_bytes(architecture_of(m), 2, m.max_sequence, o).value());
      }
}

TEST_CASE("model FLOPs equal the closed form, forward and backward, both causal conventions") {
  for (const Model& m : variants())
    for (CausalFlop convention : {CausalFlop::full, CausalFlop::half}) {
      Scenario s = training_scenario(m, notes_software());
      s.training.causal_flop = convention;
      s.training.global_batch = 6;  // three micro-batches
      const Totals t = evaluate(s, true);
      const auto a = architecture_of(m);
      const bool causal = convention == CausalFlop::half;
      const auto all = formulas::HeadPositions::all;
      CHECK(t.forward_flop.value() == 3 * formulas::forward_flops(a, 2, m.max_sequence, causal, all).total.value());
      CHECK(t.model_flop.value() == 3 * formulas::model_flops(a, 2, m.max_sequence, causal, all).value());
    }
}

TEST_CASE("hardware FLOPs equal the closed form under recomputation and flash attention") {
  for (const Model& m : variants())
    for (AttentionKernel attention : {AttentionKernel::naive, AttentionKernel::flash})
      for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        if (attention == AttentionKernel::flash && recompute == Recompute::selective) continue;
        Scenario s = training_scenario(m, notes_software());
        s.attention = attention;
        s.training.recompute = recompute;
        const auto expected =
            formulas::hardware_flops(architecture_of(m), 2, m.max_sequence, false, formulas::HeadPositions::all,
                                     recompute == Recompute::none        ? formulas::Recomputation::none
                                     : recompute == Recompute::selective ? formulas::Recomputation::selective
                                                                         : formulas::Recomputation::full,
                                     attention == AttentionKernel::flash);
        CAPTURE(static_cast<int>(m.block), static_cast<int>(m.norm_placement), static_cast<int>(recompute),
                static_cast<int>(attention));
        CHECK(evaluate(s, true).hardware_flop.value() == expected.value());
      }
}

TEST_CASE("frozen weights drop their gradients' FLOPs, memory and nothing else") {
  const Model m = small_model();
  Scenario s = training_scenario(m, notes_software());
  s.training.frozen = {"query", "key", "value", "output", "up", "down"};
  formulas::Frozen f;
  f.q = f.k = f.v = f.o = f.up = f.down = true;
  const Totals t = evaluate(s, true);
  CHECK(
      t.backward_flop.value() ==
      formulas::backward_flops(architecture_of(m), 2, m.max_sequence, false, formulas::HeadPositions::all, f).value());
  CHECK(t.trained_parameters < t.parameters);
  CHECK(t.gradients_bytes.value() == 4 * t.trained_parameters.value());

  s.training.frozen.push_back("embedding");  // the table is tied to the head
  s.training.frozen.push_back("position");
  s.training.frozen.push_back("norm");
  const Totals all = evaluate(s, true);
  CHECK(all.trained_parameters.value() == 0);
  CHECK(all.backward_flop.value() == 0);
}

TEST_CASE("states of every precision set equal Sec. 3.1.1") {
  struct Row {
    Precision precision;
    formulas::StateScheme scheme;
  };
  for (const Row& row :
       {Row{Precision::fp32, formulas::StateScheme::fp32}, Row{Precision::bf16_mixed, formulas::StateScheme::mixed},
        Row{Precision::fp16_mixed_low_gradients, formulas::StateScheme::mixed_fp16_grads},
        Row{Precision::bf16_autocast, formulas::StateScheme::autocast}}) {
    Scenario s = training_scenario(small_model(), notes_software());
    s.training.precision = row.precision;
    const Totals t = evaluate(s, true);
    const auto expected = formulas::state_bytes(t.parameters.value(), row.scheme);
    CHECK(t.parameters_bytes == expected.params);
    CHECK(t.gradients_bytes == expected.grad);
    CHECK(t.optimizer_bytes == expected.optim);
  }
}

TEST_CASE("the items of an evaluation add up to its totals bit by bit") {
  Scenario s = training_scenario(small_model(), cpu_software());
  s.training.recompute = Recompute::selective;
  Details details;
  const Totals with = evaluate(s, true, &details);
  const Totals without = evaluate(s, true);
  double flop = 0;
  for (const GroupItem& g : details.groups) flop += g.flop * static_cast<double>(g.count);
  CHECK(flop == with.hardware_flop.value());
  CHECK(with.step.value() == without.step.value());
  CHECK(with.total == without.total);
  CHECK((with.parameters_bytes + with.gradients_bytes + with.optimizer_bytes + with.activations_bytes +
         with.logits_bytes + with.workspace_bytes) == with.total);
}
