// What the presets promise: exact parameter counts, a source for every figure, every file loads.
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "costmodel/error.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/names.hpp"
#include "parameter_count.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
namespace fs = std::filesystem;

namespace {

const fs::path data = DTCALC_SOURCE_DIR;
const Folders folders{data, {}};

Model model(const std::string& name) {
  Result<Model> loaded = load_model(name, folders);
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return *loaded;
}

Device device(const std::string& name) {
  Result<Device> loaded = load_device(name, folders);
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return *loaded;
}

}  // namespace

TEST_CASE("model presets have the published numbers of parameters") {
  struct Row {
    const char* name;
    std::int64_t parameters;
  };
  // GPT-2, GPT-J, Llama, Falcon and Mistral: the checkpoints' own counts; GPT-3 and PaLM: from the published sizes.
  const auto row = GENERATE(values<Row>({{"gpt2-124m", 124439808},
                                         {"gpt2-355m", 354823168},
                                         {"gpt2-774m", 774030080},
                                         {"gpt2-1.5b", 1557611200},
                                         {"gpt3-175b", 174604259328},
                                         {"gpt-j-6b", 6050882784},
                                         {"llama2-7b", 6738415616},
                                         {"llama2-13b", 13015864320},
                                         {"llama2-70b", 68976648192},
                                         {"llama3-8b", 8030261248},
                                         {"llama3.2-1b", 1235814400},
                                         {"llama3-70b", 70553706496},
                                         {"llama3.1-405b", 405853388800},
                                         {"falcon-40b", 41303293952},
                                         {"palm-540b", 540356474880},
                                         {"mistral-7b", 7241732096}}));
  INFO(row.name);
  CHECK(test::parameter_count(model(row.name)) == row.parameters);
}

TEST_CASE("the demo's models are small, read bytes and are like their big relatives") {
  for (const char* name : {"tiny-gpt", "tiny-llama"}) {
    const Model tiny = model(name);
    CHECK(tiny.vocabulary_size == 256);
    CHECK(test::parameter_count(tiny) > 1000000);
    CHECK(test::parameter_count(tiny) < 3000000);
  }
  CHECK(model("tiny-gpt").position == Position::learned);
  const Model llama = model("tiny-llama");
  CHECK(llama.kv_heads < llama.heads);
  CHECK(llama.position == Position::rope);
  CHECK(llama.norm == Norm::rms_norm);
  CHECK(llama.gated_mlp);
  CHECK(llama.activation == Activation::silu);
}

TEST_CASE("model presets carry what costs nothing but decides the result") {
  CHECK(model("gpt2-124m").residual_dropout == 0.1);
  CHECK(model("gpt2-124m").activation == Activation::gelu_tanh);
  CHECK(model("gpt-j-6b").rope.pairing == RopePairing::neighbours);
  CHECK(model("gpt-j-6b").rope.rotary_size == 64);
  CHECK(model("llama3-8b").rope.base == 500000);
  CHECK(model("llama3.1-405b").rope.scaling == RopeScaling::llama3);
  CHECK(model("mistral-7b").sliding_window == 4096);
  CHECK(model("falcon-40b").parallel_norms);
  CHECK(model("palm-540b").kv_heads == 1);
  CHECK_FALSE(model("palm-540b").norm_bias);
}

TEST_CASE("every preset loads and is named after its file") {
  for (const PresetKind kind : {PresetKind::model, PresetKind::hardware, PresetKind::software, PresetKind::cluster}) {
    const std::vector<Preset> presets = list_presets(kind, data);
    CHECK(presets.size() >= 4);
    for (const Preset& preset : presets) {
      INFO(preset.name << ": " << preset.summary);
      CHECK(preset.summary.find(" ") != std::string::npos);
      if (kind == PresetKind::model) CHECK(load_model(preset.name, folders));
      if (kind == PresetKind::hardware) CHECK(device(preset.name).id == preset.name);
      if (kind == PresetKind::software) CHECK(load_software(preset.name, folders)->id == preset.name);
      if (kind == PresetKind::cluster) CHECK(load_cluster(preset.name, folders)->id == preset.name);
    }
  }
}

TEST_CASE("hardware profiles exist by the names of the issue, and say what they cannot do") {
  for (const char* id : {"a100-80-sxm", "a100-40-sxm", "v100-sxm2-32", "v100s", "h100", "h100-96", "h200", "b200",
                         "gb200", "l4", "rtx4090"})
    CHECK(device(id).id == id);
  CHECK(device("v100-sxm2-32").rate(Dtype::bf16).value() == 0);
  CHECK(device("a100-80-sxm").rate(Dtype::fp8).value() == 0);
  CHECK(device("b200").rate(Dtype::fp4).value() == 9e15);
  CHECK(device("h200").memory == 143771_MiB);
  CHECK(device("h100-96").memory_bandwidth.value() == 2.4e12);
  CHECK(device("h100-96").power_w == 500);
}

TEST_CASE("hardware profiles give the arithmetic intensities of C.3 (E17)") {
  const auto intensity = [](const char* id, Dtype dtype) {
    const Device d = device(id);
    return d.rate(dtype).value() / d.memory_bandwidth.value();
  };
  CHECK(intensity("a100-80-sxm", Dtype::bf16) == Approx(153.01618440411966).epsilon(1e-9));
  CHECK(intensity("a100-40-sxm", Dtype::bf16) == Approx(200.6).epsilon(1e-3));
  CHECK(intensity("v100s", Dtype::fp16) == Approx(114.6).epsilon(1e-3));
  CHECK(intensity("v100-sxm2-32", Dtype::fp16) == Approx(138.9).epsilon(1e-3));
}

TEST_CASE("every figure of a hardware or cluster profile has its unit in the key and a source") {
  const std::set<std::string> words{"id",      "name",   "origin", "kind", "architecture",
                                    "sources", "source", "date",   "notes"};
  const std::set<std::string> counts{"multiprocessors", "nodes",           "devices_per_node",
                                     "nics_per_node",   "link_efficiency", "switch_efficiency"};
  std::vector<Preset> presets = list_presets(PresetKind::hardware, data);
  for (const Preset& cluster : list_presets(PresetKind::cluster, data)) presets.push_back(cluster);
  for (const Preset& preset : presets) {
    const nlohmann::json profile = *read_json_file(preset.file);
    for (const auto& [key, value] : profile.items()) {
      if (words.contains(key)) continue;
      INFO(preset.name << " " << key);
      CHECK(profile["sources"].contains(key));
      const bool unit = key.ends_with("_per_s") || key.ends_with("_bytes") || key.ends_with("_hz") ||
                        key.ends_with("_s") || key.ends_with("_w") || key.ends_with("_fraction");
      CHECK((unit || counts.contains(key)));
    }
  }
}

TEST_CASE("the notes profile fuses nothing, the engine's own fuses") {
  const Software notes = *load_software("notes", folders);
  CHECK_FALSE(notes.fuse_bias);
  CHECK_FALSE(notes.fuse_softmax);
  CHECK(notes.store_dropout_masks);
  CHECK_FALSE(notes.save_norm_statistics);
  CHECK(notes.recompute_segment);
  const Software cpu = *load_software("dtcalc-cpu", folders);
  CHECK(cpu.fuse_softmax);
  CHECK_FALSE(cpu.store_dropout_masks);
  CHECK_FALSE(cpu.recompute_segment);
}
