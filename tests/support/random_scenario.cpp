#include "support/random_scenario.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "costmodel/scenario/load.hpp"

namespace dtcalc::test {
namespace {

using nlohmann::json;

json random_layout(Random& random) {
  json p{{"tensor", random.pick({1, 1, 2, 4, 8})},
         {"context", random.pick({1, 1, 2, 4})},
         {"context_sharding", random.pick({"naive", "striped", "zigzag"})},
         {"pipeline", random.pick({1, 1, 2, 3, 4})},
         {"zero", random.pick({0, 1, 2, 3})}};
  if (p["tensor"] != 1) {
    p["sequence"] = random.coin();
    p["save_full_inputs"] = p["sequence"] == true && random.coin();
  }
  if (p["pipeline"] != 1) {
    p["schedule"] = random.pick({"gpipe", "1f1b", "interleaved", "zero_bubble"});
    if (p["schedule"] == "interleaved") p["virtual_stages"] = 2;
  }
  return p;
}

json random_training(Random& random) {
  json t{{"parallel", random_layout(random)},
         {"micro_batch", random.pick({1, 1, 2})},
         {"recompute", random.pick({"none", "selective", "full", "per_operator"})},
         {"optimizer", random.pick({"sgd", "momentum", "adamw", "adam8bit"})},
         {"precision", random.pick({"fp32", "bf16_mixed", "fp16_mixed", "bf16_mixed_low_gradients", "bf16_autocast",
                                    "fp8_mixed", "bf16_fsdp"})},
         {"causal_flop", random.pick({"full", "half"})},
         {"method", random.pick({"supervised", "supervised", "supervised", "reward", "dpo", "ppo"})}};
  if (random.one_in(4)) {
    t["adapter"] = {{"rank", random.pick({4, 16})}};
    if (random.coin()) t["frozen_weights"] = random.pick({"fp8", "fp4"});
  } else if (random.one_in(4)) {
    t["frozen"] = json::array({random.pick({"embedding", "query", "up", "norm"})});
  }
  return t;
}

}  // namespace

Scenario random_scenario(Random& random, const std::filesystem::path& data, std::set<std::string>& words) {
  for (;;) {
    json training = random_training(random);
    const json& p = training["parallel"];
    const int replicas = random.pick({1, 1, 2, 8});
    const int devices = p["tensor"].get<int>() * p["context"].get<int>() * p["pipeline"].get<int>() * replicas;
    const int node = devices % 8 == 0 ? 8 : 1;
    training["global_batch"] = training["micro_batch"].get<int>() * replicas * random.pick({1, 2, 4, 12});
    const json document{{"model", random.pick({"gpt2-124m", "llama3-8b", "falcon-40b", "gpt-j-6b", "mistral-7b",
                                               "tiny-llama", "vit-b-16", "clip-vit-b-32"})},
                        {"hardware", random.pick({"h100", "b200", "a100-80-sxm", "rtx4090", "v100-sxm2-32"})},
                        {"software",
                         {{"preset", random.pick({"notes", "dtcalc-cuda", "pytorch-eager", "megatron-lm-2022",
                                                  "torchtitan-compiled", "nemo", "llm-foundry", "megatron-deepspeed"})},
                          {"overlap_gradient_reduction", random.coin()},
                          {"overlap_parameter_gather", random.coin()}}},
                        {"cluster",
                         {{"devices_per_node", node},
                          {"nodes", devices / node},
                          {"link_bytes_per_s", 300e9},
                          {"nic_bytes_per_s", 25e9}}},
                        {"attention", random.pick({"automatic", "naive", "flash"})},
                        {"training", training}};
    const Result<Scenario> scenario = load_scenario(document, {data, {}});
    if (!scenario) continue;
    for (const char* key : {"model", "hardware", "attention"}) words.insert(document[key].get<std::string>());
    words.insert(document["software"]["preset"].get<std::string>());
    const json& said = document["training"];
    for (const char* key : {"recompute", "optimizer", "precision", "method", "frozen_weights"})
      if (said.contains(key)) words.insert(said[key].get<std::string>());
    if (said["parallel"].contains("schedule")) words.insert(said["parallel"]["schedule"].get<std::string>());
    words.insert("zero " + std::to_string(scenario->training.parallel.zero));
    if (said.contains("adapter")) words.insert("adapter");
    return *scenario;
  }
}

}  // namespace dtcalc::test
