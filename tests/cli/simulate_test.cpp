// `dtcalc simulate`: text with a timeline, JSON, events, a trace; wrong input.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

/// `simulate` of GPT-3 on 8 x 8 devices, four micro-batches per stage.
std::vector<std::string> on_gpt3(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"simulate", "--model", "gpt3-175b", "--hardware", "a100-80-sxm"};
  for (const char* change : {"cluster.nodes=8", "cluster.devices_per_node=8", "training.parallel.tensor=8",
                             "training.parallel.pipeline=8", "training.global_batch=32"}) {
    arguments.emplace_back("--set");
    arguments.emplace_back(change);
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void collect_keys(const json& value, std::vector<std::string>& keys) {
  if (value.is_array())
    for (const json& child : value) collect_keys(child, keys);
  if (!value.is_object()) return;
  for (const auto& [key, child] : value.items()) {
    keys.push_back(key);
    if (key != "scenario") collect_keys(child, keys);
  }
}

}  // namespace

TEST_CASE("simulate prints the step, a row per stage and a timeline within 100 columns", "[cli]") {
  const ProcessResult result = run_dtcalc(on_gpt3());
  INFO(describe(result));
  REQUIRE(result.exit_code == 0);
  for (const char* word :
       {"1f1b schedule, 8 stages, 32 micro-batches of 1 x 2048 tokens", "\nStep  ", "bubble 1", "\nStages\n",
        "\nTimeline  one column is ", "\n    0 FF", "\n    7 .", "F forward, B backward, "})
    CHECK_THAT(result.output, Catch::Matchers::ContainsSubstring(word));
  CHECK(result.output.find('\x1b') == std::string::npos);
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 100);
}

TEST_CASE("a stage's times add up to the step, and the events say the same", "[cli]") {
  const json j = dtcalc_json(on_gpt3({"--events"}));
  CHECK(j["schema"] == "dtcalc.simulate/1");
  CHECK(j["schedule"]["name"] == "1f1b");
  REQUIRE(j["stages"].size() == 8);
  const double step = j["time"]["step_s"];
  double most = 0, ends = 0;
  for (const json& stage : j["stages"]) {
    const double sum = stage["compute_s"].get<double>() + stage["optimizer_s"].get<double>() +
                       stage["exposed_transfer_s"].get<double>() + stage["exposed_data_s"].get<double>() +
                       stage["bubble_s"].get<double>();
    CHECK_THAT(sum, Catch::Matchers::WithinRel(step, 1e-12));
    double compute = 0;
    for (const json& e : j["events"])
      if (e["stage"] == stage["stage"] && e["stream"] == "compute" && e["op"] != "optimizer")
        compute += e["end_s"].get<double>() - e["start_s"].get<double>();
    CHECK_THAT(compute, Catch::Matchers::WithinRel(stage["compute_s"].get<double>(), 1e-9));
    std::int64_t bytes = 0;
    for (const json& m : stage["memory"]) bytes = std::max(bytes, m["bytes"].get<std::int64_t>());
    CHECK(bytes == stage["peak_bytes"]);
    most = std::max(most, stage["peak_bytes"].get<double>());
  }
  for (const json& e : j["events"]) ends = std::max(ends, e["end_s"].get<double>());
  CHECK(ends == step);
  CHECK(j["memory"]["peak_bytes"] == most);
  CHECK(dtcalc_json(on_gpt3()).contains("events") == false);
}

TEST_CASE("docs/simulate.md explains every key", "[cli]") {
  std::vector<std::string> keys;
  collect_keys(dtcalc_json(on_gpt3({"--events"})), keys);
  const std::string page = read_bytes(std::filesystem::path(DTCALC_SOURCE_DIR) / "docs/simulate.md");
  for (const std::string& key : keys) {
    CAPTURE(key);
    CHECK(page.find("`" + key + "`") != std::string::npos);
  }
}

TEST_CASE("simulate: --csv is a row per event and --trace a file for a trace viewer", "[cli]") {
  const TemporaryFolder folder;
  const std::filesystem::path trace = folder.path() / "step.json";
  const ProcessResult result = run_dtcalc(on_gpt3({"--csv", "--trace", trace.string()}));
  INFO(describe(result));
  REQUIRE(result.exit_code == 0);
  CHECK(result.output.substr(0, 57) == "stage,stream,op,chunk,micro_batch,to,start_s,end_s\n0,comp");
  // Per micro-batch two passes on 8 stages and two transfers over 7 borders; an optimizer per stage; the titles.
  CHECK(std::count(result.output.begin(), result.output.end(), '\n') == 32 * (2 * 8 + 2 * 7) + 8 + 1);
  const json document = json::parse(read_bytes(trace));
  CHECK(document["traceEvents"].size() > 32 * (2 * 8 + 2 * 7));
  require_failure(on_gpt3({"--trace", "/no/such/folder/step.json"}), 3, {"/no/such/folder/step.json"});
}

TEST_CASE("what cannot be simulated is refused with a way out", "[cli]") {
  require_failure(on_gpt3({"--events"}), 2, {"--events", "--json"});
  require_failure(on_gpt3({"--set", "training.parallel.schedule=interleaved"}), 2,
                  {"/training/parallel/virtual_stages"});
  require_failure(on_gpt3({"--set", "training.parallel.schedule=interleaved", "--set",
                           "training.parallel.virtual_stages=2", "--set", "training.global_batch=12"}),
                  2, {"/training/parallel/schedule", "multiples of the stages (8)"});
  require_failure({"simulate", "--model", "gpt2-124m", "--hardware", "h200", "--set", "inference.batch=1"}, 2,
                  {"/training", "a simulation plays a training step"});
  require_failure(on_gpt3({"--set", "training.global_batch=1000000"}), 2, {"more than 1000000 passes", "fewer"});
}
