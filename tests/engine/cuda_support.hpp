// What the tests of the CUDA engine share: scenarios that it runs, steps on fixed batches, and the distance of its loss
// and gradients from the CPU's in double.
#pragma once

#include <cmath>
#include <cstring>

#include "engine/cpu/executor.hpp"
#include "engine/engine.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

namespace dtcalc::test {

/// Why there is no GPU to test on; empty when there is one.
inline std::string absence() {
  const auto gpus = find_gpus();
  return gpus ? std::string() : gpus.errors()[0].reason;
}

inline Software cuda_software() {
  Software s = cpu_software();
  s.id = "dtcalc-cuda";
  s.attention = AttentionKernel::flash;
  s.narrow_logits = true;
  s.alignment_bytes = 256;
  return s;
}

/// GPT-2's form with sizes that no packet divides, or Llama's with grouped queries.
inline Model model_of(bool llama) {
  Model m = small_model();
  m.layers = 2;
  m.hidden_size = 192, m.heads = m.kv_heads = 3, m.head_size = 64, m.mlp_size = 320;
  m.vocabulary_size = 317, m.max_sequence = 77;
  if (!llama) return m;
  m.position = Position::rope;
  m.norm = Norm::rms_norm, m.norm_bias = false;
  m.heads = 4, m.kv_heads = 2, m.head_size = 80;
  m.gated_mlp = true, m.activation = Activation::silu;
  m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = false;
  m.tied_embeddings = false;
  return m;
}

inline Scenario on_gpu(const Model& model, Precision precision) {
  Scenario s = training_scenario(model, cuda_software());
  s.hardware.kind = "gpu";
  s.training.precision = precision;
  s.training.gradient_clip = 0;
  return s;
}

struct Batch {
  std::vector<std::int32_t> tokens, targets;
};

inline Batch batch_of(const Scenario& s, int salt) {
  Batch b;
  const std::int64_t count = s.training.micro_batch * s.training.sequence;
  for (std::int64_t i = 0; i < count; ++i) {
    b.tokens.push_back(static_cast<std::int32_t>((i * 131 + salt * 17) % s.model.vocabulary_size));
    b.targets.push_back(static_cast<std::int32_t>((i * 37 + salt * 5 + 1) % s.model.vocabulary_size));
  }
  return b;
}

inline std::unique_ptr<Engine> engine_of(const Scenario& s, bool graphs = true) {
  EngineOptions options;
  options.device.cuda = true;
  options.graphs = graphs;
  auto made = make_engine(s, options);
  if (!made) FAIL(describe(made.errors()));
  auto engine = std::move(made).value();
  if (const auto error = engine->initialize(s.training.seed)) FAIL(describe(*error));
  return engine;
}

inline StateTensors state_of(Engine& engine) {
  auto state = engine.state();
  if (!state) FAIL(describe(state.errors()));
  return *state;
}

inline std::vector<float> values_of(const std::vector<safetensors::TensorTarget>& tensors) {
  std::vector<float> values;
  for (const auto& t : tensors) {
    const std::size_t from = values.size();
    values.resize(from + t.data.size() / sizeof(float));
    std::memcpy(values.data() + from, t.data.data(), t.data.size());
  }
  return values;
}

inline double step_loss(Engine& engine, const Scenario& s, int step) {
  const Batch b = batch_of(s, step);
  const auto loss = engine.forward_backward(step, 0, b.tokens, b.targets);
  if (!loss) FAIL(describe(loss.errors()));
  const auto update = engine.optimizer_step(step, 1e-2);
  if (!update) FAIL(describe(update.errors()));
  return *loss;
}

/// Parameters and losses after three steps.
inline std::vector<float> after_steps(const Scenario& s, bool graphs) {
  const auto engine = engine_of(s, graphs);
  std::vector<float> result;
  for (int step = 1; step <= 3; ++step) result.push_back(static_cast<float>(step_loss(*engine, s, step)));
  const std::vector<float> parameters = values_of(state_of(*engine).parameters);
  result.insert(result.end(), parameters.begin(), parameters.end());
  return result;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Distance {
  double loss, gradient;  ///< relative
};

/// One gradient (by plain SGD with rate 1: parameters before minus after) and loss against the CPU in T.
template <class T>
inline std::vector<double> cpu_gradient(const Scenario& gpu, const std::vector<float>& parameters, double& loss) {
  Scenario s = gpu;
  s.software = cpu_software();
  s.software.attention = AttentionKernel::flash;
  s.training.precision = std::is_same_v<T, double> ? Precision::fp64 : Precision::fp32;
  auto made = cpu::Executor<T>::make(s, {2, false, 0});
  if (!made) FAIL(describe(made.errors()));
  cpu::Executor<T>& e = **made;
  e.initialize(1);
  std::size_t at = 0;
  for (const ParameterView& p : e.parameters())
    for (std::int64_t i = 0; i < p.elements; ++i) *e.parameter(p.offset + i) = static_cast<T>(parameters[at++]);
  const Batch b = batch_of(s, 1);
  loss = e.forward_backward(1, 0, b.tokens, b.targets);
  std::vector<double> gradient;
  for (const ParameterView& p : e.parameters())
    for (std::int64_t i = 0; i < p.elements; ++i) gradient.push_back(static_cast<double>(*e.gradient(p.offset + i)));
  return gradient;
}

inline double relative(const std::vector<double>& a, const std::vector<double>& reference) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - reference[i]) * (a[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  return std::sqrt(error / norm);
}

inline Distance distance(Scenario s) {
  s.training.optimizer = Optimizer::sgd;
  s.training.weight_decay = 0;
  const auto engine = engine_of(s);
  const std::vector<float> before = values_of(state_of(*engine).parameters);
  const Batch b = batch_of(s, 1);
  const auto loss = engine->forward_backward(1, 0, b.tokens, b.targets);
  if (!loss) FAIL(describe(loss.errors()));
  REQUIRE(engine->optimizer_step(1, 1.0));
  const std::vector<float> after = values_of(state_of(*engine).parameters);
  std::vector<double> gradient;
  for (std::size_t i = 0; i < before.size(); ++i)
    gradient.push_back(static_cast<double>(before[i]) - static_cast<double>(after[i]));
  double reference_loss = 0;
  const std::vector<double> reference = cpu_gradient<double>(s, before, reference_loss);
  return {std::abs(*loss / reference_loss - 1), relative(gradient, reference)};
}

}  // namespace dtcalc::test
