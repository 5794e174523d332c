// Adapters, methods of fine-tuning, image models and 8-bit Adam at the command line: what every verb says about them,
// and what it says about input that cannot be.
#include <nlohmann/json.hpp>

#include "cli/documented.hpp"
#include "cli/program.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

std::string preset(const std::string& name) { return DTCALC_SOURCE_DIR "/presets/scenarios/" + name + ".json"; }

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& set) {
  for (const std::string& s : set) arguments.insert(arguments.end(), {"--set", s});
  return arguments;
}

}  // namespace

TEST_CASE("the fine-tuning and vision scenarios fit their devices, and every key they print is documented", "[cli]") {
  struct Row {
    const char* name;
    std::int64_t parameters, trained;
    std::size_t towers;
  };
  // Llama 2 7B with rank 16 on four square matrices of 32 layers: 16 x 2 x 4096 x 4 x 32; Llama 2 70B with rank 64 on
  // all seven: query and output 8192 x 8192, key and value 8192 x 1024, gate, up and down 8192 x 28672.
  constexpr std::int64_t lora = 16 * 2 * 4096 * 4 * 32;
  constexpr std::int64_t qlora = 64LL * 80 * (2 * (8192 + 8192) + 2 * (8192 + 1024) + 3 * (8192 + 28672));
  for (const Row& row : {Row{"lora", 6738415616 + lora, lora, 0}, Row{"qlora", 68976648192 + qlora, qlora, 0},
                         Row{"dpo", 2 * 8030261248, 8030261248, 2}, Row{"ppo", 0, 0, 8},
                         Row{"vit", 304326632, 304326632, 0}, Row{"clip", 151277313, 151277313, 2}}) {
    CAPTURE(row.name);
    const json e = dtcalc_json({"estimate", preset(row.name), "--operators"});
    check_documented(e);
    CHECK(e["memory"]["fits"] == true);
    if (row.parameters > 0) CHECK(e["model"]["parameters"] == row.parameters);
    if (row.trained > 0 && row.trained != row.parameters) CHECK(e["model"]["trained_parameters"] == row.trained);
    CHECK((e.contains("towers") ? e["towers"].size() : 0) == row.towers);
    double sum = 0;
    for (const char* part : {"parameters", "gradients", "optimizer", "activations", "logits", "workspace"})
      sum += e["memory"][std::string(part) + "_bytes"].get<double>();
    CHECK(sum == e["memory"]["total_bytes"].get<double>());
  }
}

TEST_CASE("compare shows what an adapter takes from a step", "[cli]") {
  const json c = dtcalc_json({"compare", "--model", "gpt2-124m", "--hardware", "h100", "--with",
                              "training.adapter.rank=8", "--with", "training.frozen_weights=fp4"});
  const auto figure = [&](const char* key, const char* side) {
    for (const auto& row : c["memory"])
      if (row["key"] == key) return row[side].get<double>();
    return -1.0;
  };
  CHECK(figure("memory.optimizer_bytes", "a") == 12.0 * 124439808);
  CHECK(figure("memory.optimizer_bytes", "b") == 12.0 * 12 * 2 * 8 * 2 * 768);  // query and value, 12 layers
  CHECK(figure("memory.parameters_bytes", "b") < figure("memory.parameters_bytes", "a") / 2);
  CHECK(run_dtcalc({"compare", preset("dpo"), "--with", "training.method=supervised"}).exit_code == 0);
}

TEST_CASE("simulate plays pairs and two towers as long as estimate says", "[cli]") {
  for (const char* name : {"lora", "dpo", "vit", "clip"}) {
    CAPTURE(name);
    const json played = dtcalc_json({"simulate", preset(name)}), e = dtcalc_json({"estimate", preset(name)});
    CHECK(played["memory"]["peak_bytes"] == e["memory"]["total_bytes"]);
    const double ratio = played["time"]["step_s"].get<double>() / e["time"]["step_s"].get<double>();
    CHECK(ratio > 0.97);
    CHECK(ratio < 1.03);
  }
  CHECK_THAT(run_dtcalc({"simulate", preset("dpo")}).output,
             Catch::Matchers::ContainsSubstring("4 x 1024 tokens (policy), 4 x 1024 tokens (reference)"));
}

TEST_CASE("simulate refuses a step that writes answers, with the nearest that it can do", "[cli]") {
  require_failure({"simulate", preset("ppo")}, 2, {"/training/method: \"ppo\"", "writes answers"});
}

TEST_CASE("plan finds layouts for every method, and estimate says the same of the first", "[cli]") {
  for (const char* name : {"lora", "dpo", "ppo", "clip", "vit"}) {
    CAPTURE(name);
    const json planned = dtcalc_json({"plan", preset(name), "--best", "1"});
    const json& first = planned["best"].at(0);
    std::vector<std::string> again{"estimate", preset(name)};
    for (const json& set : first["set"]) again.insert(again.end(), {"--set", set.get<std::string>()});
    const json e = dtcalc_json(again);
    CHECK(e["time"]["step_s"] == first["step_s"]);
    CHECK(e["memory"]["total_bytes"] == first["total_bytes"]);
  }
  CHECK_THAT(run_dtcalc({"plan", preset("dpo"), "--best", "1"}).output,
             Catch::Matchers::ContainsSubstring("64 pairs of sequences of 1024 tokens, trained by dpo"));
}

TEST_CASE("a loss by (6.1) is planned for pre-training alone", "[cli]") {
  const auto refused = [](const char* name, std::vector<std::string> parts) {
    require_failure({"plan", preset(name), "--objective", "loss", "--deadline", "3"}, 2, parts);
  };
  refused("dpo", {"/training/method: \"dpo\"", "--objective step"});
  refused("lora", {"/training/adapter/rank: 16", "all parameters"});
  refused("vit", {"/model/input: \"image\"", "language models"});
}

TEST_CASE("adapters, methods and image models that cannot be are refused with a way out", "[cli]") {
  const std::vector<std::string> gpt2{"estimate", "--model", "gpt2-124m", "--hardware", "h100"};
  require_failure(with(gpt2, {"training.adapter.rank=-1"}), 2, {"/training/adapter/rank: -1"});
  require_failure(with(gpt2, {"training.adapter.targets=[\"query\"]", "training.adapter.rank=0"}), 2,
                  {"/training/adapter/targets", "have rank 0"});
  require_failure(with(gpt2, {"training.adapter.rank=8", "training.adapter.targets=[\"querry\"]"}), 2,
                  {"/training/adapter/targets/0: \"querry\"", "use query, key"});
  require_failure(with(gpt2, {"training.frozen_weights=fp4"}), 2, {"/training/frozen_weights: \"fp4\"", "frozen"});
  require_failure(with(gpt2, {"training.method=dpoo"}), 2, {"/training/method: \"dpoo\"", "dpo"});
  require_failure({"estimate", "--model", "vit-b-16", "--hardware", "h100", "--set", "model.image_size=225"}, 2,
                  {"/model/patch_size: 16", "does not divide image_size (225)"});
  require_failure({"estimate", "--model", "clip-vit-b-32", "--hardware", "h100", "--set", "model.text.layers=0"}, 2,
                  {"/model/text/layers: 0", "give both, or neither"});
  require_failure(with(gpt2, {"training.optimizer=adam8"}), 2, {"/training/optimizer: \"adam8\"", "adam8bit"});
}

TEST_CASE("the engine refuses what it has no kernels for, before anything runs", "[cli]") {
  const std::vector<std::string> tiny{"run",        "train",       "--markov", "--model", "tiny-gpt",
                                      "--hardware", "cpu-2-cores", "--device", "cpu"};
  require_failure(with(tiny, {"training.adapter.rank=4"}), 2, {"/training/adapter/rank: 4", "no kernels"});
  require_failure(with(tiny, {"training.method=dpo"}), 2, {"/training/method: \"dpo\"", "supervised"});
  require_failure(with(tiny, {"training.optimizer=adam8bit"}), 2, {"/training/optimizer: \"adam8bit\"", "adamw"});
  require_failure(with(tiny, {"training.frozen=[\"query\"]", "training.frozen_weights=fp8"}), 2,
                  {"/training/frozen_weights: \"fp8\"", "fp32"});
  require_failure({"run", "train", "--markov", "--model", "vit-b-16", "--hardware", "cpu-2-cores", "--device", "cpu"},
                  2, {"/model: ", "language model"});
}
