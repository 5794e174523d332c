// The engine against calculus and against the ledger: gradients by finite differences, flash against naive,
// recomputation, counted FLOPs, touched memory.
#include "engine/cpu/executor.hpp"

#include <cmath>
#include <random>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/workspace.hpp"
#include "costmodel/graph/fold.hpp"
#include "engine/cpu/workspace.hpp"
#include "engine/fold.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"
#include "support/variants.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

using Tokens = std::vector<std::int32_t>;

struct Batch {
  Tokens tokens, targets;
};

Batch batch_for(const Scenario& s, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  Batch b;
  const std::int64_t count = s.training.micro_batch * s.training.sequence;
  for (std::int64_t i = 0; i < count; ++i) {
    b.tokens.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(s.model.vocabulary_size)));
    b.targets.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(s.model.vocabulary_size)));
  }
  return b;
}

Scenario double_scenario(const Model& m) {
  Scenario s = training_scenario(m, cpu_software());
  s.training.precision = Precision::fp64;
  s.training.gradient_clip = 0;
  return s;
}

template <class T>
std::unique_ptr<cpu::Executor<T>> executor(const Scenario& s, bool check = true, std::int64_t slack = 0) {
  auto made = cpu::Executor<T>::make(s, {2, check, slack});
  if (!made) FAIL(describe(made.errors()));
  auto e = std::move(made).value();
  e->initialize(7);
  return e;
}

/// Weights far from the small initialisation, so that every nonlinearity is used; vectors away from one and zero.
template <class T>
void shake(cpu::Executor<T>& e) {
  std::mt19937 random(11);
  std::normal_distribution<double> normal(0, 1);
  const Model& m = e.scenario().model;
  const Name kinked = m.gated_mlp ? Name::mlp_gate : Name::mlp_up;
  for (const ParameterView& p : e.parameters())
    for (std::int64_t i = 0; i < p.elements; ++i) {
      T& w = e.parameter(p.offset)[i];
      w += static_cast<T>((p.columns > 0 ? 0.25 : 0.15) * normal(random));
      // ReLU: inputs have a deviation near 1.3; a bias of +-12 keeps all of them off the kink, half on either side.
      if (m.activation == Activation::relu && p.op == kinked && p.columns == 0) w = static_cast<T>(i % 2 ? 12 : -12);
    }
}

double loss_of(cpu::Executor<double>& e, const Batch& b) {
  return e.forward_backward(1, 0, b.tokens, b.targets) / static_cast<double>(b.tokens.size());
}

}  // namespace

TEST_CASE("gradients of every variant equal finite differences", "[slow]") {
  for (const Variant& variant : covering_variants()) {
    Scenario s = double_scenario(variant.model);
    s.training.sequence = 9;
    s.attention = variant.attention;
    s.training.recompute = variant.recompute;
    CAPTURE(variant.name);
    auto e = executor<double>(s);
    shake(*e);
    const Batch b = batch_for(s, 3);
    e->zero_gradients();
    loss_of(*e, b);
    CHECK(e->broken_guard() == -1);
    std::vector<double> gradient(e->gradient(), e->gradient() + e->training().plan.elements.trained);

    // Truncation is h^2 ~ 1e-9 of the third derivative. Two losses near 4 are each rounded by some 4 ulp of it, which
    // is all that shows where the gradient is exactly zero (a key's bias shifts all scores of a query alike).
    constexpr double h = 3e-5;
    constexpr double rounding = 4 * 4 * 2.2e-16 * 2 / (2 * h);
    const auto derivative = [&](auto&& move) {
      const auto loss = [&] {
        return e->forward_loss(1, 0, b.tokens, b.targets) / static_cast<double>(b.tokens.size());
      };
      move(h);
      const double up = loss();
      move(-2 * h);
      const double down = loss();
      move(h);
      return (up - down) / (2 * h);
    };
    std::mt19937 random(5);
    std::normal_distribution<double> normal(0, 1);
    for (const ParameterView& p : e->parameters()) {
      CAPTURE(p.name);
      double* w = e->parameter(p.offset);
      const double* g = gradient.data() + p.offset;
      double error = 0, norm = 0;
      for (int sample = 0; sample < 32; ++sample) {
        const std::int64_t i = static_cast<std::int64_t>(random() % static_cast<unsigned>(p.elements));
        const double fd = derivative([&](double by) { w[i] += by; });
        error += (fd - g[i]) * (fd - g[i]);
        norm += g[i] * g[i];
      }
      CHECK(std::sqrt(error) <= 1e-6 * std::sqrt(norm) + std::sqrt(32.0) * rounding);
      std::vector<double> direction(static_cast<std::size_t>(p.elements));
      double along = 0, length = 0;
      for (std::int64_t i = 0; i < p.elements; ++i) {
        direction[static_cast<std::size_t>(i)] = normal(random) / std::sqrt(static_cast<double>(p.elements));
        along += direction[static_cast<std::size_t>(i)] * g[i];
        length += g[i] * g[i];
      }
      const double fd = derivative([&](double by) {
        for (std::int64_t i = 0; i < p.elements; ++i) w[i] += by * direction[static_cast<std::size_t>(i)];
      });
      CHECK(std::abs(fd - along) <= 1e-6 * std::sqrt(length) + rounding);
    }
  }
}

TEST_CASE("flash attention equals naive attention to 1e-12, loss and gradients") {
  for (const Variant& variant : covering_variants()) {
    Scenario s = double_scenario(variant.model);
    CAPTURE(variant.name);
    const Batch b = batch_for(s, 4);
    std::vector<double> losses, gradients[2];
    for (AttentionKernel attention : {AttentionKernel::naive, AttentionKernel::flash}) {
      s.attention = attention;
      s.software.flash_query_tile = 5;
      s.software.flash_key_tile = 3;
      auto e = executor<double>(s);
      shake(*e);
      e->zero_gradients();
      losses.push_back(loss_of(*e, b));
      for (const ParameterView& p : e->parameters())
        gradients[losses.size() - 1].insert(gradients[losses.size() - 1].end(), e->gradient(p.offset),
                                            e->gradient(p.offset) + p.elements);
    }
    CHECK(std::abs(losses[0] - losses[1]) < 1e-12);
    double worst = 0;
    for (std::size_t i = 0; i < gradients[0].size(); ++i)
      worst = std::max(worst, std::abs(gradients[0][i] - gradients[1][i]));
    CHECK(worst < 1e-12);
  }
}

TEST_CASE("recomputation changes no bit of losses and gradients") {
  for (const Variant& variant : covering_variants()) {
    Scenario s = training_scenario(variant.model, cpu_software());
    s.training.precision = Precision::fp32;
    s.attention = variant.attention;
    CAPTURE(variant.name);
    const Batch b = batch_for(s, 6);
    std::vector<double> losses;
    std::vector<float> first;
    for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      s.training.recompute = recompute;
      auto e = executor<float>(s);
      shake(*e);
      e->zero_gradients();
      losses.push_back(e->forward_backward(1, 0, b.tokens, b.targets));
      std::vector<float> g;
      for (const ParameterView& p : e->parameters())
        g.insert(g.end(), e->gradient(p.offset), e->gradient(p.offset) + p.elements);
      if (first.empty()) first = g;
      CHECK(g == first);
      CHECK(losses.back() == losses.front());
      CHECK(e->broken_guard() == -1);
    }
  }
}

TEST_CASE("counted FLOPs equal the ledger's executed FLOPs in every group") {
  for (const Variant& variant : covering_variants())
    for (Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      Scenario s = training_scenario(variant.model, cpu_software());
      s.training.precision = Precision::fp32;
      s.training.recompute = recompute;
      s.attention = variant.attention;
      s.software.flash_query_tile = 5;
      s.software.flash_key_tile = 3;
      CAPTURE(variant.name, static_cast<int>(recompute));
      Details details;
      const Totals totals = evaluate(s, true, &details);
      auto e = executor<float>(s);
      const Batch b = batch_for(s, 8);
      e->forward_backward(1, 0, b.tokens, b.targets);
      CHECK(static_cast<double>(e->counted_flop()) == totals.hardware_flop.value());
      const auto measured = e->measurements();
      for (const GroupItem& item : details.groups)
        for (const GroupMeasurement& m : measured)
          if (m.group == item.group && m.calls > 0) {
            CAPTURE(text(item.group->name));
            CHECK(m.calls == item.count);
            CHECK(static_cast<double>(m.flop) == item.flop * static_cast<double>(item.count));
          }
    }
}

TEST_CASE("untouched poison shows the predicted peak to the byte") {
  for (const Variant& variant : covering_variants())
    for (Recompute recompute : {Recompute::none, Recompute::full}) {
      Scenario s = training_scenario(variant.model, cpu_software());
      s.training.precision = Precision::fp32;
      s.training.recompute = recompute;
      s.attention = variant.attention;
      CAPTURE(variant.name, static_cast<int>(recompute));
      auto e = executor<float>(s, false, 1 << 16);
      const Batch b = batch_for(s, 9);
      e->forward_backward(1, 0, b.tokens, b.targets);
      e->optimizer_step(1, 1e-3);
      e->evaluate(b.tokens, b.targets);
      CHECK(e->arena_touched() == evaluate(s, true).total.value());
    }
}

TEST_CASE("the cost model's workspace is what the kernels ask for") {
  for (const Variant& variant : covering_variants()) {
    Scenario s = training_scenario(variant.model, cpu_software());
    s.attention = variant.attention;
    s.training.precision = Precision::fp32;
    CHECK(cpu_workspace(s, true).value() == cpu::kernel_workspace_bytes<float>(s, 2));
    s.training.precision = Precision::fp64;
    CHECK(cpu_workspace(s, true).value() == cpu::kernel_workspace_bytes<double>(s, 2));
  }
}

TEST_CASE("the same seed and threads give the same bits, micro-batches accumulate") {
  Model m = small_model();
  m.residual_dropout = m.attention_dropout = m.embedding_dropout = 0.1;
  Scenario s = training_scenario(m, cpu_software());
  s.training.precision = Precision::fp32;
  s.training.global_batch = 4;
  const Batch one = batch_for(s, 1), two = batch_for(s, 2);
  std::vector<float> runs[2];
  for (auto& run : runs) {
    auto e = executor<float>(s);
    for (int step = 1; step <= 3; ++step) {
      e->forward_backward(step, 0, one.tokens, one.targets);
      e->forward_backward(step, 1, two.tokens, two.targets);
      CHECK(e->optimizer_step(step, 1e-2) > 0);
    }
    for (const ParameterView& p : e->parameters())
      run.insert(run.end(), e->parameter(p.offset), e->parameter(p.offset) + p.elements);
  }
  CHECK(runs[0] == runs[1]);
}

TEST_CASE("folding gamma and beta into the products leaves every loss equal to 1e-12") {
  int folded_models = 0;
  for (const Variant& variant : covering_variants()) {
    CAPTURE(variant.name);
    const auto folded = fold_norms(variant.model);
    if (variant.model.norm_placement == NormPlacement::post) {
      CHECK_FALSE(folded);
      continue;
    }
    Scenario s = double_scenario(variant.model);
    auto plain = executor<double>(s);
    shake(*plain);
    s.model = *folded;
    auto rewritten = executor<double>(s);
    fold_weights(*plain, *rewritten);
    // Fewer parameters unless betas became biases of wider products.
    if (variant.model.norm == Norm::rms_norm)
      CHECK(rewritten->training().plan.elements.trained < plain->training().plan.elements.trained);
    const Batch b = batch_for(s, 12);
    CHECK(std::abs(plain->evaluate(b.tokens, b.targets) - rewritten->evaluate(b.tokens, b.targets)) < 1e-12);
    const std::vector<std::int32_t> line(b.tokens.begin(), b.tokens.begin() + s.training.sequence);
    const auto a = plain->logits(line), c = rewritten->logits(line);
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      worst = std::max(worst, std::abs(a[i] - c[i]));
      largest = std::max(largest, std::abs(a[i]));
    }
    CHECK(worst <= 1e-12 * largest);
    ++folded_models;
  }
  CHECK(folded_models > 10);
}
