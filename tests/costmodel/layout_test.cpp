// Holds parallel layouts against the closed forms of Sec. 7, and against the model on one device.
#include <algorithm>
#include <cmath>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/formulas/ring.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

/// Sizes that 2, 4 and 8 divide, all different; large enough for messages to travel in rings.
Model large_model() {
  Model m = small_model();
  m.layers = 8;
  m.hidden_size = 6144;
  m.heads = m.kv_heads = 64;
  m.head_size = 96;
  m.mlp_size = 20480;
  m.vocabulary_size = 51200;
  m.max_sequence = 4096;
  return m;
}

/// `replicas` of data parallelism beside the layout, two micro-batches each.
Scenario layout_scenario(const Model& model, const Parallel& parallel, std::int64_t replicas = 1,
                         std::int64_t micro_batches = 2) {
  Scenario s = training_scenario(model, notes_software());
  s.training.parallel = parallel;
  s.cluster.nodes = parallel.tensor * parallel.context * parallel.pipeline * replicas;
  s.training.global_batch = s.training.micro_batch * replicas * micro_batches;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  s.hardware.nic_bandwidth = BytesPerSecond(25e9);
  return s;
}

std::int64_t saved_in_blocks(const Scenario& s) {
  Details details;
  evaluate(s, true, &details);
  std::int64_t saved = 0;
  for (const SavedItem& item : details.saved)
    if (item.segment > 0 && item.segment <= block_kinds(s.model)) saved += item.layers * item.bytes_per_layer.value();
  return saved;
}

std::vector<Parallel> layouts() {
  std::vector<Parallel> list;
  for (std::int64_t tensor : {1, 2, 4, 8})
    for (std::int64_t context : {1, 2, 4})
      for (std::int64_t pipeline : {1, 2, 4}) {
        Parallel p;
        p.tensor = tensor, p.context = context, p.pipeline = pipeline;
        list.push_back(p);
        if (tensor > 1) p.sequence = true, list.push_back(p);
      }
  return list;
}

}  // namespace

TEST_CASE("the model's parameters and FLOPs do not depend on the layout") {
  const Model m = divisible_model();
  const Totals one = evaluate(layout_scenario(m, {}), true);
  for (const Parallel& p : layouts())
    for (std::int64_t replicas : {1, 3}) {
      const Totals t = evaluate(layout_scenario(m, p, replicas), true);
      CAPTURE(p.tensor, p.sequence, p.context, p.pipeline, replicas);
      CHECK(t.parameters == one.parameters);
      CHECK(t.embedding_parameters == one.embedding_parameters);
      CHECK(t.model_flop.value() == one.model_flop.value() * static_cast<double>(replicas));
      CHECK(t.tokens.value() == one.tokens.value() * replicas);
      // Naive attention computes every pair, so sharding changes nothing of what is executed.
      CHECK(t.hardware_flop.value() == one.hardware_flop.value() * static_cast<double>(replicas));
    }
}

TEST_CASE("kv heads are replicated beyond G, and nothing else is executed twice") {
  Model m = divisible_model();
  m.kv_heads = 2;
  Parallel p;
  const auto executed = [&](std::int64_t tensor) {
    p.tensor = tensor;
    return evaluate(layout_scenario(m, p), true).hardware_flop.value();
  };
  CHECK(executed(2) == executed(1));
  // Three products of the keys and of the values each, 2 m n k FLOPs, for the two micro-batches of a step.
  const double kv = 3 * 2 * 2.0 * 2 * 64 * 96 * (2 * 12) * 8 * 2;
  CHECK(executed(4) == executed(1) + kv);
  CHECK(executed(8) == executed(1) + 3 * kv);
}

TEST_CASE("saved activations of a tensor-parallel rank equal (7.11)-(7.13)") {
  for (bool dropout : {false, true})
    for (std::int64_t kv_heads : {8, 2})
      for (std::int64_t tensor : {2, 4, 8})
        for (bool sequence : {false, true})
          for (bool full : {false, true})
            for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
              if (full && !sequence) continue;
              Model m = divisible_model();
              m.kv_heads = kv_heads;
              if (dropout) m.attention_dropout = m.residual_dropout = 0.1;
              Parallel p;
              p.tensor = tensor, p.sequence = sequence, p.save_full_inputs = full;
              Scenario s = layout_scenario(m, p);
              s.training.recompute = recompute;
              formulas::ActivationOptions o;
              o.T = tensor, o.sp = sequence, o.sp_save_shards = !full;
              o.attention_dropout = o.residual_dropout = dropout;
              o.recomputation = static_cast<formulas::Recomputation>(recompute);
              CAPTURE(dropout, kv_heads, tensor, sequence, full, static_cast<int>(recompute));
              CHECK(saved_in_blocks(s) == formulas::activation_bytes(architecture_of(m), 2, 64, o).value());
            }
}

TEST_CASE("states and saved activations never grow with T") {
  for (bool sequence : {false, true}) {
    Parallel p;
    Bytes states{INT64_MAX};
    std::int64_t saved = INT64_MAX;
    for (std::int64_t tensor : {1, 2, 4, 8}) {
      p.tensor = tensor;
      p.sequence = sequence && tensor > 1;
      const Scenario s = layout_scenario(divisible_model(), p);
      const Totals t = evaluate(s, true);
      const Bytes now = t.parameters_bytes + t.gradients_bytes + t.optimizer_bytes;
      CHECK(now < states);
      CHECK(saved_in_blocks(s) < saved);
      states = now;
      saved = saved_in_blocks(s);
    }
  }
}

TEST_CASE("traffic of tensor parallelism equals the closed forms, with and without sequence parallelism") {
  const Model m = large_model();
  const double B = 2, S = 4096, D = 6144, width = 2;
  for (std::int64_t tensor : {2, 4, 8})
    for (bool sequence : {false, true})
      for (bool full : {false, true}) {
        if (full && !sequence) continue;
        Parallel p;
        p.tensor = tensor, p.sequence = sequence, p.save_full_inputs = full;
        const Totals t = evaluate(layout_scenario(m, p), true);
        const double blocks =
            formulas::tp_comm_bytes_per_layer(B, S, D, width, tensor, sequence, formulas::Phase::both, !full) * 8;
        // Statistics of the loss are (B, S) in 4 bytes: messages so small that they may travel in a tree, whose ranks
        // send more than a ring's, less than twice as much.
        const double head = formulas::tp_head_comm_bytes(B, S, D, width, tensor, 4), statistics = 3 * 2 * 4 * B * S * 2;
        CAPTURE(tensor, sequence, full);
        const double sent = t.traffic[static_cast<int>(Axis::tensor)].sent_bytes;
        CHECK(sent == Approx((blocks + head) * 2).margin(statistics));  // two micro-batches
        CHECK(t.traffic[static_cast<int>(Axis::tensor)].exposed.value() > 0);
      }
}

TEST_CASE("traffic of the context ring equals the closed form, its work that of the slowest rank") {
  const Model m = divisible_model();
  for (std::int64_t ranks : {2, 4})
    for (ContextSharding sharding : {ContextSharding::naive, ContextSharding::striped, ContextSharding::zigzag}) {
      Parallel p;
      p.context = ranks, p.context_sharding = sharding;
      const Scenario s = layout_scenario(m, p);
      const Totals t = evaluate(s, true);
      const auto bytes = formulas::ring_comm_bytes(formulas::Phase::both, 2, 64, ranks, 8, 12, 2, 2).value();
      CHECK(t.traffic[static_cast<int>(Axis::context)].sent_bytes == static_cast<double>(bytes) * 8 * 2);

      // Tiles of one position leave exactly the causal pairs.
      const auto summary = formulas::ring_summary(static_cast<formulas::RingStrategy>(sharding), 64, ranks);
      const std::int64_t pairs = ring_pairs(64, ranks, sharding, AttentionPass{});
      CAPTURE(ranks, static_cast<int>(sharding));
      CHECK(pairs == summary.makespan);
    }
}

TEST_CASE("a pipeline of equal stages has the closed form's bubble and live micro-batches") {
  Model m = large_model();
  m.vocabulary_size = 8;  // next to no head
  m.position = Position::rope;
  for (PipelineSchedule schedule :
       {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved})
    for (std::int64_t stages : {2, 4}) {
      Parallel p;
      p.pipeline = stages, p.schedule = schedule;
      p.virtual_stages = schedule == PipelineSchedule::interleaved ? 2 : 1;
      const std::int64_t micro_batches = 8;
      Scenario s = layout_scenario(m, p, 1, micro_batches);
      s.hardware.nic_bandwidth = BytesPerSecond(1e15);  // next to free
      Details details;
      const Totals t = evaluate(s, true, &details);
      CAPTURE(static_cast<int>(schedule), stages);
      REQUIRE(static_cast<std::int64_t>(details.stages.size()) == stages);
      for (std::int64_t i = 0; i < stages; ++i)
        CHECK(details.stages[static_cast<std::size_t>(i)].live ==
              formulas::pipeline_in_flight(static_cast<formulas::PipelineSchedule>(schedule), stages, micro_batches,
                                           p.virtual_stages, i));
      // All stages as slow as the slowest, no transfers: at least the closed form's bubble over the slowest's work.
      const double share = formulas::pipeline_bubble_fraction(stages, micro_batches, p.virtual_stages);
      const double in_pipeline = (t.step - t.optimizer).value();
      CHECK(t.bubble.value() > 0);
      // The embedding, the head's 8 columns and the transfers' latency make less than a twentieth of difference.
      CHECK(t.bubble.value() / in_pipeline == Approx(share).epsilon(0.05));
      const double transfers =
          formulas::pipeline_p2p_bytes(stages, micro_batches, p.virtual_stages, 2, 4096, 6144, 2, 1);
      // A stage in the middle sends as many as any; the first and the last together send one stage's worth less.
      const double sent = t.traffic[static_cast<int>(Axis::pipeline)].sent_bytes;
      const double v = static_cast<double>(p.virtual_stages), P = static_cast<double>(stages);
      CHECK(sent * P * (v * P - 1) / (v * P) == Approx(transfers).epsilon(1e-12));
    }
}

TEST_CASE("uneven stages hold all layers, the larger ones in the middle") {
  Model m = divisible_model();
  for (std::int64_t layers : {7, 10, 13})
    for (std::int64_t stages : {2, 3, 4, 5}) {
      m.layers = layers;
      Parallel p;
      p.pipeline = stages;
      const Layout l = layout_of(layout_scenario(m, p), Work::training);
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < stages; ++i) {
        const StageShape shape = stage_shape(l, i);
        const std::int64_t n = shape.layers[0] + shape.layers[1] + shape.layers[2];
        CHECK((n == layers / stages || n == (layers + stages - 1) / stages));
        CHECK(shape.layers[0] == 1);
        CHECK(shape.prologue == (i == 0));
        CHECK(shape.epilogue == (i == stages - 1));
        sum += n;
      }
      CHECK(sum == layers);
      if (stages > 2 && layers % stages == 1)
        CHECK(stage_shape(l, 0).layers[1] < stage_shape(l, (stages - 1) / 2).layers[1]);
    }
}

TEST_CASE("ZeRO divides states as the closed form and sends what it says") {
  const Model m = large_model();
  const std::int64_t ranks = 8;
  for (std::int64_t zero : {0, 1, 2, 3}) {
    Parallel p;
    p.zero = zero;
    Scenario s = layout_scenario(m, p, ranks, 1);
    s.training.precision = Precision::bf16_mixed_low_gradients;
    const Totals t = evaluate(s, true);
    const std::int64_t n = t.parameters.value();
    const double expected =
        formulas::zero_state_bytes_per_rank(n, formulas::StateScheme::mixed_fp16_grads, zero, ranks);
    const double states = static_cast<double>((t.parameters_bytes + t.gradients_bytes + t.optimizer_bytes).value());
    CAPTURE(zero);
    CHECK(std::abs(states - expected) <= 16);  // shards are whole: at most one parameter more
    CHECK(t.traffic[static_cast<int>(Axis::data)].sent_bytes ==
          Approx(formulas::dp_comm_bytes(static_cast<double>(n), ranks, 2, 2, zero)).epsilon(1e-12));
  }
}

TEST_CASE("gradients that are kept in shards are reduced in every micro-batch") {
  const Model m = large_model();
  constexpr std::int64_t ranks = 8, micro_batches = 4;
  for (std::int64_t zero : {0, 1, 2, 3}) {
    Parallel p;
    p.zero = zero;
    Scenario s = layout_scenario(m, p, ranks, micro_batches);
    s.training.precision = Precision::bf16_mixed_low_gradients;
    const Totals t = evaluate(s, true);
    // Units of Np (N_d - 1) / N_d: a reduce-scatter and a gather each one, an all-reduce two.
    const double reduced = zero == 0 ? 2 : zero == 1 ? 1 : micro_batches;
    const double gathered = zero == 0 ? 0 : zero == 3 ? 2 * micro_batches : 1;
    CAPTURE(zero);
    CHECK(t.traffic[static_cast<int>(Axis::data)].sent_bytes ==
          Approx((reduced + gathered) * 2 * static_cast<double>(t.parameters.value()) * (ranks - 1) / ranks)
              .epsilon(1e-12));
    const Simulation played = *simulate(s);
    CHECK(std::ranges::count_if(played.events, [](const Event& e) { return e.instruction.op == Op::reduce; }) ==
          (zero >= 2 ? micro_batches : 1));
    CHECK(played.played.step.value() == Approx(t.step.value()).epsilon(1e-9));
  }
}

TEST_CASE("a tied head on another stage than the table is stored twice and counted once") {
  Model m = divisible_model();
  Parallel p;
  p.pipeline = 2;
  Details details;
  const Totals t = evaluate(layout_scenario(m, p), true, &details);
  m.tied_embeddings = false;
  const Totals untied = evaluate(layout_scenario(m, p), true);
  CHECK(t.parameters.value() + 1040 * 96 == untied.parameters.value());
  CHECK(t.total == untied.total);
}

TEST_CASE("categories add up to the peak and parts to the step in every layout") {
  for (const Parallel& base : layouts())
    for (std::int64_t zero : {0, 1, 3})
      for (Recompute recompute : {Recompute::none, Recompute::full}) {
        Parallel p = base;
        p.zero = zero;
        Scenario s = layout_scenario(divisible_model(), p, 2, 4);
        s.training.recompute = recompute;
        Details details;
        const Totals t = evaluate(s, true, &details);
        const Totals hot = evaluate(s, true);
        CAPTURE(p.tensor, p.sequence, p.context, p.pipeline, zero, static_cast<int>(recompute));
        CHECK(t.step == hot.step);
        CHECK(t.total == hot.total);
        CHECK(t.parameters_bytes + t.gradients_bytes + t.optimizer_bytes + t.activations_bytes + t.logits_bytes +
                  t.workspace_bytes ==
              t.total);
        CHECK(t.workspace_bytes >= Bytes(0));
        CHECK((t.compute + t.exposed + t.bubble + t.optimizer + t.host).value() == Approx(t.step.value()));
        double exposed = 0;
        for (const AxisTraffic& a : t.traffic) exposed += a.exposed.value();
        CHECK(exposed == Approx(t.exposed.value()));
        for (const StageItem& stage : details.stages) CHECK(stage.total <= t.total);
        CHECK(t.mfu > 0);
        CHECK(t.mfu <= t.hfu * (1 + 1e-12));
        CHECK(t.hfu <= 1);
      }
}

TEST_CASE("overlap hides data-parallel traffic but for a layer's share, and never helps without traffic") {
  Parallel p;
  for (std::int64_t zero : {0, 1, 3}) {
    p.zero = zero;
    Scenario s = layout_scenario(divisible_model(), p, 4, 2);
    const Totals without = evaluate(s, true);
    s.software.overlap_gradient_reduction = s.software.overlap_parameter_gather = true;
    const Totals with = evaluate(s, true);
    CHECK(with.exposed < without.exposed);
    CHECK(with.exposed.value() > 0);
    CHECK(with.compute == without.compute);
    s.cluster.nodes = 1, s.training.global_batch = 4;
    CHECK(evaluate(s, true).exposed.value() == 0);
  }
}
