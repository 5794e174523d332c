// `dtcalc estimate`: the JSON contract, its sums, the text, exit codes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cli/documented.hpp"
#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

/// What Catch2's Approx cannot say of sums of thousands of terms: each addition rounds once.
bool nearly(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b)); }

void check_sums(const json& e) {
  const json& m = e.at("memory");
  const auto bytes = [&](const char* key) { return m.at(key).get<std::int64_t>(); };
  CHECK(bytes("parameters_bytes") + bytes("gradients_bytes") + bytes("optimizer_bytes") + bytes("activations_bytes") +
            bytes("logits_bytes") + bytes("kv_cache_bytes") + bytes("workspace_bytes") ==
        bytes("total_bytes"));
  std::int64_t saved = 0;
  for (const json& row : m.at("activations")) {
    CHECK(row.at("layers").get<std::int64_t>() * row.at("bytes_per_layer").get<std::int64_t>() ==
          row.at("saved_bytes").get<std::int64_t>());
    saved += row.at("saved_bytes").get<std::int64_t>();
  }
  CHECK(saved == bytes("saved_bytes"));
  const json& t = e.at("time");
  const auto seconds = [&](const char* key) { return t.at(key).get<double>(); };
  CHECK(nearly(seconds("compute_s") + seconds("exposed_communication_s") + seconds("bubble_s") +
                   seconds("optimizer_s") + seconds("host_s"),
               seconds("step_s")));
  const json& f = e.at("flops");
  CHECK(f.at("forward_flop").get<double>() + f.at("backward_flop").get<double>() == f.at("model_flop").get<double>());
  CHECK(seconds("training_s") == seconds("step_s") * e["scenario"]["training"]["steps"].get<double>());
}

}  // namespace

TEST_CASE("estimate --json keeps the contract's keys", "[cli]") {
  const json e = dtcalc_json(on_gpt2("estimate", {"--operators"}));
  for (const char* pointer : {"/schema",
                              "/scenario/model/layers",
                              "/scenario/training/micro_batch",
                              "/model/parameters",
                              "/model/embedding_parameters",
                              "/model/non_embedding_parameters",
                              "/model/parameters_per_layer",
                              "/model/parameters_per_device",
                              "/memory/capacity_bytes",
                              "/memory/fits",
                              "/memory/stage",
                              "/flops/recompute_flop",
                              "/flops/hardware_flop",
                              "/communication/tensor_bytes",
                              "/communication/context_bytes",
                              "/communication/pipeline_bytes",
                              "/communication/data_bytes",
                              "/time/tokens_per_s",
                              "/time/mfu",
                              "/time/hfu",
                              "/time/stage",
                              "/time/origin",
                              "/operators/0/name",
                              "/operators/0/phase",
                              "/operators/0/covers/0",
                              "/operators/0/kernels",
                              "/operators/0/count",
                              "/operators/0/flop",
                              "/operators/0/read_bytes",
                              "/operators/0/written_bytes",
                              "/operators/0/time_s",
                              "/operators/0/bound"}) {
    CAPTURE(pointer);
    CHECK(e.contains(json::json_pointer(pointer)));
  }
  CHECK(e["time"]["origin"] == "datasheet");
  CHECK(e["model"]["parameters"] ==
        e["model"]["embedding_parameters"].get<int>() + e["model"]["non_embedding_parameters"].get<int>());
}

TEST_CASE("parts of an estimate add up to their totals", "[cli]") {
  for (const std::vector<std::string>& change : {std::vector<std::string>{},
                                                 {"--set", "training.recompute=full"},
                                                 {"--set", "attention=naive"},
                                                 {"--software", "pytorch-eager"},
                                                 {"--software", "notes", "--set", "training.precision=fp32"}}) {
    CAPTURE(change);
    check_sums(dtcalc_json(on_gpt2("estimate", change)));
  }
}

TEST_CASE("operators add up to the step and to the executed FLOPs", "[cli]") {
  const json e = dtcalc_json(on_gpt2(
      "estimate", {"--operators", "--set", "training.recompute=selective", "--set", "software.cuda_graphs=true"}));
  double time = 0, flop = 0;
  std::vector<std::string> names;
  for (const json& row : e.at("operators")) {
    time += row.at("time_s").get<double>();
    flop += row.at("flop").get<double>();
    names.push_back(row.at("name").get<std::string>() + " " + row.at("phase").get<std::string>());
  }
  CHECK(nearly(time, e["time"]["step_s"]));
  CHECK(flop == e["flops"]["hardware_flop"].get<double>());
  for (const json& row : e.at("operators"))
    if (row["name"] == "block.mlp.down" && row["phase"] == "forward") {
      CHECK(row["count"] == 12);    // layers, of two kinds: the first and the others
      CHECK(row["kernels"] == 24);  // a product, and its bias with dropout
      CHECK(row["flop"] == 12 * 2.0 * 1024 * 768 * 3072);
      CHECK(row["read_bytes"] == 12 * (2.0 * (1024 * 3072 + 3072 * 768) + 2.0 * (1024 * 768 + 768)));
      CHECK(row["written_bytes"] == 12 * 2 * 2.0 * 1024 * 768);
    }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());  // a row per group and phase
}

TEST_CASE("parameter counts of the published models", "[cli]") {
  const std::pair<const char*, std::int64_t> models[] = {
      {"gpt2-124m", 124439808},    {"gpt2-355m", 354823168},    {"gpt2-774m", 774030080},
      {"gpt2-1.5b", 1557611200},   {"gpt3-175b", 174604259328}, {"gpt-j-6b", 6050882784},
      {"llama2-7b", 6738415616},   {"llama2-13b", 13015864320}, {"llama2-70b", 68976648192},
      {"llama3-8b", 8030261248},   {"llama3-70b", 70553706496}, {"llama3.1-405b", 405853388800},
      {"falcon-40b", 41303293952}, {"palm-540b", 540356474880}, {"mistral-7b", 7241732096}};
  for (const auto& [name, parameters] : models) {
    CAPTURE(name);
    const json e = dtcalc_json({"estimate", "--model", name, "--hardware", "h200"});
    CHECK(e["model"]["parameters"] == parameters);
    check_sums(e);
  }
}

TEST_CASE("every preset of every kind makes an estimate", "[cli]") {
  for (const json& preset : dtcalc_json({"presets"})) {
    const std::string kind = preset["kind"], name = preset["name"];
    CAPTURE(kind, name);
    std::vector<std::string> arguments{"estimate", "--model", kind == "models" ? name : "gpt2-124m", "--hardware",
                                       kind == "hardware" ? name : "h200"};
    if (kind == "software") arguments.insert(arguments.end(), {"--software", name});
    if (kind == "clusters") arguments.insert(arguments.end(), {"--cluster", name});
    check_sums(dtcalc_json(arguments));
  }
}

TEST_CASE("an estimate that does not fit says by how much and what would", "[cli]") {
  const std::vector<std::string> arguments{
      "estimate", "--model", "gpt2-1.5b", "--hardware", "a100-40-sxm", "--set", "training.micro_batch=16"};
  const ProcessResult text = run_dtcalc(arguments);
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("does not fit"));
  const json e = dtcalc_json(arguments);
  CHECK(e["memory"]["fits"] == false);
  REQUIRE(e.contains("ways_out"));
  for (const json& way : e["ways_out"]) {  // each is true
    std::vector<std::string> changed = arguments;
    for (const json& set : way["set"]) changed.insert(changed.end(), {"--set", set.get<std::string>()});
    const json other = dtcalc_json(changed);
    CHECK(other["memory"]["fits"] == true);
    CHECK(other["memory"]["total_bytes"] == way["total_bytes"]);
    CHECK(other["time"]["step_s"] == way["step_s"]);
  }
  std::vector<std::string> strict = arguments;
  strict.emplace_back("--require-fit");
  CHECK(run_dtcalc(strict).exit_code == 1);
  CHECK(run_dtcalc(on_gpt2("estimate", {"--require-fit"})).exit_code == 0);
}

TEST_CASE("a scenario of inference alone", "[cli]") {
  const json e = dtcalc_json({"estimate", "--model", "mistral-7b", "--hardware", "h100", "--set", "inference.batch=4",
                              "--set", "inference.new_tokens=8000"});
  CHECK_FALSE(e.contains("time"));
  CHECK(e["inference"]["kv_cache_bytes_per_token"] == 2 * 32 * 8 * 128 * 2);                     // 2 L G H p
  CHECK(e["inference"]["memory"]["kv_cache_bytes"].get<std::int64_t>() == 4LL * 4096 * 131072);  // the window of 4096
  const json& m = e["memory"];
  CHECK(m["parameters_bytes"].get<std::int64_t>() + m["activations_bytes"].get<std::int64_t>() +
            m["logits_bytes"].get<std::int64_t>() + m["kv_cache_bytes"].get<std::int64_t>() +
            m["workspace_bytes"].get<std::int64_t>() ==
        m["total_bytes"].get<std::int64_t>());
  const ProcessResult text =
      run_dtcalc({"estimate", "--model", "mistral-7b", "--hardware", "h100", "--set", "inference.batch=4"});
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("to the first token, then"));
}

TEST_CASE("a scenario file, and options that replace its parts", "[cli]") {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "my.json",
              R"({"model": {"preset": "gpt2-124m", "layers": 6}, "hardware": "h200", "training": {"micro_batch": 2}})");
  const std::string file = (folder.path() / "my.json").string();
  const json e = dtcalc_json({"estimate", file});
  CHECK(e["scenario"]["model"]["layers"] == 6);
  CHECK(e["scenario"]["training"]["micro_batch"] == 2);
  const json other = dtcalc_json({"estimate", file, "--hardware", "h100", "--set", "training.micro_batch=4"});
  CHECK(other["scenario"]["hardware"]["id"] == "h100");
  CHECK(other["scenario"]["training"]["micro_batch"] == 4);
  CHECK(other["scenario"]["model"]["layers"] == 6);
  // A path given as option starts at the working folder, not at the file's.
  write_bytes(folder.path() / "sub" / "model.json", R"({"layers": 2, "hidden_size": 64, "heads": 2})");
  ProcessOptions options;
  options.folder = folder.path() / "sub";
  const ProcessResult here = run_dtcalc({"estimate", "../my.json", "--model", "model.json", "--json"}, options);
  INFO(describe(here));
  REQUIRE(here.exit_code == 0);
  CHECK(json::parse(here.output)["scenario"]["model"]["layers"] == 2);
  // The scenario that an estimate prints makes the same estimate.
  write_bytes(folder.path() / "again.json", e["scenario"].dump());
  CHECK(dtcalc_json({"estimate", (folder.path() / "again.json").string()}) == e);
}

TEST_CASE("a Hugging Face config.json, or its folder, serves as --model", "[cli]") {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "mine" / "config.json",
              R"({"model_type": "gpt2", "n_layer": 24, "n_embd": 1024, "n_head": 16})");
  for (const char* path : {"mine", "mine/config.json"}) {
    const json e = dtcalc_json({"estimate", "--model", (folder.path() / path).string(), "--hardware", "h200"});
    CHECK(e["model"]["parameters"] == 354823168);
  }
  write_bytes(folder.path() / "moe.json", R"({"model_type": "mixtral"})");
  require_failure({"estimate", "--model", (folder.path() / "moe.json").string(), "--hardware", "h200"}, 2, {"mixtral"});
}

TEST_CASE("estimate --csv holds the figures of --json", "[cli]") {
  const json e = dtcalc_json(on_gpt2("estimate"));
  const ProcessResult result = run_dtcalc(on_gpt2("estimate", {"--csv"}));
  CHECK(result.output.substr(0, 10) == "key,value\n");
  CHECK_THAT(result.output,
             Catch::Matchers::ContainsSubstring("\nmemory.total_bytes," + e["memory"]["total_bytes"].dump() + "\n"));
  CHECK_THAT(result.output, Catch::Matchers::ContainsSubstring("\ntime.step_s," + e["time"]["step_s"].dump() + "\n"));
  const ProcessResult rows = run_dtcalc(on_gpt2("estimate", {"--csv", "--operators"}));
  CHECK_THAT(rows.output, Catch::Matchers::ContainsSubstring("\nblock.mlp.up,forward,"));
}

TEST_CASE("docs/json.md explains every key", "[cli]") {
  const json e = dtcalc_json(
      on_gpt2("estimate", {"--operators", "--set", "inference.batch=2", "--set", "training.micro_batch=600"}));
  CHECK(e.contains("ways_out"));
  CHECK(e["inference"].contains("max_batch"));
  check_documented(e);
}

TEST_CASE("the text of an estimate is the approved one", "[cli]") {
  // DTCALC_APPROVE=1 writes what the program prints now; look at the difference before committing it.
  const std::filesystem::path approved =
      std::filesystem::path(DTCALC_SOURCE_DIR) / "tests/cli/approved/estimate-gpt2-124m.txt";
  const ProcessResult result = run_dtcalc(on_gpt2("estimate"));
  INFO(describe(result));
  REQUIRE(result.exit_code == 0);
  if (std::getenv("DTCALC_APPROVE") != nullptr) write_bytes(approved, result.output);
  CHECK(result.output == read_bytes(approved));
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 100);
}

TEST_CASE("estimate --hardware all says for every device whether it fits, as on that device alone", "[cli]") {
  const json all = dtcalc_json({"estimate", "--model", "llama2-7b", "--hardware", "all", "--set", "inference.batch=8"});
  REQUIRE(all["devices"].size() >= 12);
  bool fitted = true;
  for (const json& row : all["devices"]) {
    if (row["fits"] == true) CHECK(fitted);  // those that fit come first
    fitted = row["fits"].get<bool>();
    CHECK(row["margin_bytes"].get<std::int64_t>() ==
          row["capacity_bytes"].get<std::int64_t>() - row["total_bytes"].get<std::int64_t>());
    if (row["id"] != "h100" && row["id"] != "l4") continue;
    const json one = dtcalc_json(
        {"estimate", "--model", "llama2-7b", "--hardware", row["id"].get<std::string>(), "--set", "inference.batch=8"});
    CHECK(row["total_bytes"] == one["memory"]["total_bytes"]);
    CHECK(row["decode_step_s"] == one["inference"]["decode_step_s"]);
    CHECK(row["max_batch"] == one["inference"]["max_batch"]);
  }
  check_documented(all);
}

TEST_CASE("on all devices, one without the precision gives its reason and one that is full its way out", "[cli]") {
  const json all = dtcalc_json({"estimate", "--model", "gpt2-1.5b", "--hardware", "all", "--set",
                                "training.micro_batch=16", "--set", "training.precision=bf16_mixed"});
  const auto device = [&](const char* id) {
    return *std::find_if(all["devices"].begin(), all["devices"].end(),
                         [&](const json& row) { return row["id"] == id; });
  };
  CHECK_THAT(device("v100s")["errors"][0].get<std::string>(), Catch::Matchers::ContainsSubstring("bf16"));
  CHECK(device("a100-40-sxm")["fits"] == false);
  CHECK(device("a100-40-sxm")["way_out"]["total_bytes"] <= device("a100-40-sxm")["capacity_bytes"]);
  check_documented(all);
  require_failure({"estimate", "--model", "gpt2-124m", "--hardware", "all", "--set", "training.micro_batch=0"}, 2,
                  {"/training/micro_batch"});
  const ProcessResult none = run_dtcalc(
      {"estimate", "--model", "gpt3-175b", "--hardware", "all", "--require-fit", "--set", "training.micro_batch=1"});
  CHECK(none.exit_code == 1);
}

TEST_CASE("estimate says what beam search and speculative decoding cost", "[cli]") {
  const std::vector<std::string> served{"estimate",  "--model",  "llama2-70b", "--hardware",        "h100",
                                        "--cluster", "dgx-h100", "--set",      "inference.tensor=4"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> arguments = served;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const json e = dtcalc_json(with({"--beams", "4", "--draft", "llama2-7b", "--acceptance", "0.8"}));
  const json& i = e["inference"];
  CHECK(i["beam_search"]["copied_kv_cache_bytes"] == 4 * i["memory"]["kv_cache_bytes"].get<std::int64_t>());
  CHECK(i["speculative"]["target_step_s"] == i["decode_step_s"]);
  CHECK(i["speculative"]["rows"].size() == 17);
  CHECK(i["limits"]["smallest_tensor"] == 2);
  check_documented(e);
  const ProcessResult text = run_dtcalc(with({"--beams", "4", "--draft", "llama2-7b", "--acceptance", "0.8"}));
  for (const char* words : {"Beam search  4 beams", "Speculative decoding", "best with ", "fits from tensor 2 on"})
    CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring(words));
  // The options are short for keys of the scenario.
  const json keys = dtcalc_json(with({"--set", "inference.beams=4", "--set", "inference.draft.model=llama2-7b", "--set",
                                      "inference.draft.acceptance=0.8"}));
  CHECK(keys == e);
  CHECK(e["scenario"]["inference"]["draft"]["model"] == "llama2-7b");
  CHECK_FALSE(dtcalc_json(with({"--set", "inference.beams=1"}))["inference"].contains("beam_search"));
  require_failure(with({"--draft", "llama2-7b"}), 2, {"/inference/draft/acceptance: 0", "give the probability"});
  require_failure(with({"--acceptance", "0.5"}), 2, {"/inference/draft/acceptance: 0.5", "name one"});
  require_failure(with({"--draft", "llama2-7b", "--acceptance", "1.5"}), 2, {"/inference/draft/acceptance: 1.5"});
  require_failure(with({"--draft", "lama2-7b", "--acceptance", "0.5"}), 2, {"lama2-7b", "did you mean llama2-7b?"});
  require_failure(with({"--draft", "gpt2-124m", "--acceptance", "0.5", "--set", "inference.prompt_tokens=2000"}), 2,
                  {"/inference/draft/model", "position table"});
  require_failure(with({"--set", "inference.beams=0"}), 2, {"/inference/beams: 0"});
}
