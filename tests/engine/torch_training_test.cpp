// Training as PyTorch trains: the same weights, batches and optimizer for 50 steps, GPT-2 and Llama with grouped
// queries. scripts/torch_training.py wrote the folders; the committed ones are its small shapes on a CPU, and
// DTCALC_TORCH_TRAINING names others (`./dev gpu correct`).
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/hf_config.hpp"
#include "engine/engine.hpp"
#include "engine/train/hf_weights.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const char* shape) {
  const char* named = std::getenv("DTCALC_TORCH_TRAINING");
  return (named ? fs::path(named) : fs::path(DTCALC_SOURCE_DIR) / "tests/engine/torch_training") / shape;
}

nlohmann::json json_of(const fs::path& path) {
  std::ifstream file(path);
  if (!file) FAIL("cannot read " << path);
  return nlohmann::json::parse(file);
}

/// Steps x (B, S).
struct Batches {
  std::vector<std::int64_t> shape;
  std::vector<std::int32_t> tokens, targets;
};

Batches batches_of(const fs::path& path) {
  const auto reader = safetensors::Reader::open(path);
  if (!reader) FAIL(describe(reader.errors()));
  Batches b;
  b.shape = reader->find("tokens")->shape;
  b.tokens.resize(static_cast<std::size_t>(b.shape[0] * b.shape[1] * b.shape[2]));
  b.targets.resize(b.tokens.size());
  for (auto* list : {&b.tokens, &b.targets})
    REQUIRE_FALSE(reader->read({list == &b.tokens ? "tokens" : "targets", safetensors::Type::i32, b.shape,
                                std::as_writable_bytes(std::span(*list))}));
  return b;
}

/// Mean loss of every step.
std::vector<double> losses_of(const fs::path& folder, Software software, Precision precision, bool cuda) {
  const Batches batches = batches_of(folder / "batches.safetensors");
  const nlohmann::json settings = json_of(folder / "losses.json");
  const auto model = model_from_hf_config(json_of(folder / "config.json"), "config.json");
  if (!model) FAIL(describe(model.errors()));
  Model m = *model;  // what the loader would resolve
  if (m.kv_heads == 0) m.kv_heads = m.heads;
  if (m.head_size == 0) m.head_size = m.hidden_size / m.heads;
  if (m.mlp_size == 0) m.mlp_size = 4 * m.hidden_size;
  Scenario s = training_scenario(m, software);
  s.hardware.kind = cuda ? "gpu" : "cpu";
  if (!cuda) s.hardware.multiprocessors = 1;
  Training& t = s.training;
  t.micro_batch = t.global_batch = batches.shape[1], t.sequence = batches.shape[2];
  t.precision = precision;
  t.beta1 = settings["beta1"], t.beta2 = settings["beta2"], t.epsilon = settings["epsilon"];
  t.weight_decay = settings["weight_decay"], t.gradient_clip = settings["gradient_clip"];

  EngineOptions options;
  options.device.cuda = cuda;
  auto made = make_engine(s, options);
  if (!made) FAIL(describe(made.errors()));
  Engine& engine = **made;
  REQUIRE_FALSE(engine.initialize(1));
  const auto state = engine.state();
  REQUIRE(state);
  if (const auto error =
          load_hf_weights(folder / "model.safetensors", {s.model, engine.parameters(), state->parameters}))
    FAIL(describe(*error));
  REQUIRE_FALSE(engine.take_state());
  std::vector<double> losses;
  const std::int64_t count = t.micro_batch * t.sequence;
  for (std::int64_t step = 0; step < batches.shape[0]; ++step) {
    const auto part = [&](const std::vector<std::int32_t>& list) {
      return std::span(list).subspan(static_cast<std::size_t>(step * count), static_cast<std::size_t>(count));
    };
    const auto loss = engine.forward_backward(step + 1, 0, part(batches.tokens), part(batches.targets));
    if (!loss) FAIL(describe(loss.errors()));
    losses.push_back(*loss / static_cast<double>(count));
    REQUIRE(engine.optimizer_step(step + 1, settings["learning_rate"][static_cast<std::size_t>(step)]));
  }
  return losses;
}

double apart(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

void compare(const char* shape, const Software& software, bool cuda) {
  const fs::path folder = folder_of(shape);
  const nlohmann::json torch = json_of(folder / "losses.json");
  const std::vector<double> fp32 = torch["fp32"], autocast = torch["bf16"], copies = torch["bf16_copies"];
  const double of_autocast = apart(autocast, fp32), of_copies = apart(copies, fp32);
  // The engine's bf16 has bf16 activations and weights beside fp32 masters: so has the reference of the same precision.
  // In fp32 both round alike, to 2^-24 a sum; what 50 steps make of it stays a hundredth of what autocast does.
  struct Case {
    const char* name;
    Precision precision;
    double allowed;
  };
  for (const Case& c :
       {Case{"fp32", Precision::fp32, 2 * of_autocast / 100}, Case{"bf16", Precision::bf16_mixed, 2 * of_copies}}) {
    if (!cuda && c.precision == Precision::bf16_mixed) continue;  // the CPU engine computes in fp32
    const std::vector<double> losses = losses_of(folder, software, c.precision, cuda);
    const double most = apart(losses, fp32);
    fmt::print(
        "training as PyTorch trains: {} {} on the {}: loss {:.4f} to {:.4f}, PyTorch fp32 {:.4f}, at most {:.3e} "
        "apart, {:.3e} allowed; PyTorch's bf16 copies {:.3e}, its autocast {:.3e} apart\n",
        shape, c.name, cuda ? "GPU" : "CPU", losses.front(), losses.back(), fp32.back(), most, c.allowed, of_copies,
        of_autocast);
    CHECK(most <= c.allowed);
  }
}

}  // namespace

TEST_CASE("training as PyTorch trains, on the CPU") {
  for (const char* shape : {"gpt2", "llama"}) compare(shape, cpu_software(), false);
}

TEST_CASE("cuda: training as PyTorch trains") {
  const auto gpus = find_gpus();
  if (!gpus) DTCALC_SKIP(gpus.errors()[0].reason.c_str());
  Software software = cpu_software();
  software.id = "dtcalc-cuda";
  software.attention = AttentionKernel::flash;
  software.narrow_logits = true;
  software.alignment_bytes = 256;
  for (const char* shape : {"gpt2", "llama"}) compare(shape, software, true);
}
