// `dtcalc plan`: output forms, kept keys, goals, wrong input.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/documented.hpp"
#include "cli/program.hpp"

using namespace dtcalc::test;

namespace {

/// A verb on GPT-2 1.5B and a node of eight.
std::vector<std::string> on_node(const char* verb, std::initializer_list<std::string> more = {}) {
  std::vector<std::string> arguments{verb,
                                     "--model",
                                     "gpt2-1.5b",
                                     "--hardware",
                                     "h100",
                                     "--set",
                                     "cluster.devices_per_node=8",
                                     "--set",
                                     "training.global_batch=64"};
  arguments.insert(arguments.end(), more);
  return arguments;
}
std::vector<std::string> plan(std::initializer_list<std::string> more = {}) { return on_node("plan", more); }

}  // namespace

TEST_CASE("a planned layout's overrides make the estimate it promised", "[cli]") {
  const auto document = dtcalc_json(plan({"--best", "3"}));
  REQUIRE(document["best"].size() == 3);
  CHECK(document["layouts"] >= document["fitting"]);
  const auto& best = document["best"][0];
  std::vector<std::string> arguments = on_node("estimate");
  for (const auto& set : best["set"]) {
    arguments.emplace_back("--set");
    arguments.push_back(set.get<std::string>());
  }
  const auto estimate = dtcalc_json(arguments);
  CHECK(estimate["time"]["step_s"] == best["step_s"]);
  CHECK(estimate["memory"]["total_bytes"] == best["total_bytes"]);
}

TEST_CASE("plan keeps what it is told to keep and says when nothing fits", "[cli]") {
  const auto kept = dtcalc_json(plan({"--keep", "tensor,zero", "--set", "training.parallel.tensor=1"}));
  for (const auto& layout : kept["best"]) {
    CHECK(layout["tensor"] == 1);
    CHECK(layout["zero"] == 0);
  }
  const ProcessResult none = run_dtcalc({"plan", "--model", "gpt3-175b", "--hardware", "l4", "--set",
                                         "training.global_batch=8", "--set", "cluster.nodes=1"});
  INFO(describe(none));
  CHECK(none.exit_code == 1);
  CHECK_THAT(none.output, Catch::Matchers::ContainsSubstring("None fits in"));
}

TEST_CASE("plan names what is wrong with its input", "[cli]") {
  require_failure(plan({"--keep", "tenser"}), 2, {"--keep: tenser", "use tensor, sequence"});
  require_failure(plan({"--set", "training.parallel.tensr=2"}), 2, {"/training/parallel/tensr"});
  require_failure({"plan", "--model", "gpt2-1.5b", "--hardware", "h100"}, 2, {"/training/global_batch: is missing"});
  require_failure(plan({"--set", "training.global_batch=x"}), 2, {"/training/global_batch"});
  require_failure(plan({"--best", "0"}), 2, {"--best"});
}

namespace {

/// `--set` for each override of a planned row.
std::vector<std::string> with_sets(std::vector<std::string> arguments, const nlohmann::json& row) {
  for (const auto& set : row.at("set")) {
    arguments.emplace_back("--set");
    arguments.push_back(set.get<std::string>());
  }
  return arguments;
}

const std::vector<std::string> kTrain{"--model",   "gpt2-1.5b", "--hardware", "h100",
                                      "--cluster", "dgx-h100",  "--set",      "training.global_batch=64"};
const std::vector<std::string> kServe{"--model",   "llama2-7b", "--hardware", "h100",
                                      "--cluster", "dgx-h100",  "--set",      "inference.batch=4"};

std::vector<std::string> verb(const std::string& name, std::vector<std::string> scenario,
                              std::initializer_list<std::string> more) {
  scenario.insert(scenario.begin(), name);
  scenario.insert(scenario.end(), more.begin(), more.end());
  return scenario;
}

}  // namespace

TEST_CASE("the smallest cluster's overrides make the estimate that meets the deadline", "[cli]") {
  const auto document = dtcalc_json(verb("plan", kTrain, {"--deadline", "1", "--tokens", "30B", "--best", "2"}));
  REQUIRE(document["met"] == true);
  const auto& last = document["clusters"].back();
  CHECK(last["meets"] == true);
  CHECK(last["time_s"] <= 86400);
  const auto estimate = dtcalc_json(with_sets(verb("estimate", kTrain, {}), document["best"][0]));
  CHECK(estimate["time"]["step_s"] == last["step_s"]);
  CHECK(estimate["scenario"]["cluster"]["nodes"] == last["nodes"]);
  const double steps = document["goal"]["steps"].get<double>();
  CHECK(last["time_s"] == steps * last["step_s"].get<double>());
  check_documented(document);
}

TEST_CASE("a deadline may have its unit, and more devices than it asks for are not tried", "[cli]") {
  const auto days = dtcalc_json(verb("plan", kTrain, {"--deadline", "2", "--tokens", "30B"}));
  const auto hours = dtcalc_json(verb("plan", kTrain, {"--deadline", "48 h", "--tokens", "30B"}));
  CHECK(days["clusters"] == hours["clusters"]);
}

TEST_CASE("a goal that nothing meets exits with 1 and names what comes nearest", "[cli]") {
  const ProcessResult late =
      run_dtcalc(verb("plan", kTrain, {"--deadline", "0.001", "--tokens", "30B", "--gpus", "16"}));
  INFO(describe(late));
  CHECK(late.exit_code == 1);
  CHECK_THAT(late.output, Catch::Matchers::ContainsSubstring("No size meets it; nearest is 16 devices in 2 nodes"));
  const ProcessResult slow = run_dtcalc(verb("plan", kServe, {"--tpot", "1 us"}));
  CHECK(slow.exit_code == 1);
  CHECK_THAT(slow.output, Catch::Matchers::ContainsSubstring("No width meets it"));
}

TEST_CASE("the smallest replica's overrides make the TPOT it promised", "[cli]") {
  const auto document = dtcalc_json(verb("plan", kServe, {"--tpot", "12 ms"}));
  REQUIRE(document["met"] == true);
  for (const auto& row : document["replicas"]) {
    if (row["tensor"].get<int>() > 2) continue;
    const auto estimate = dtcalc_json(with_sets(verb("estimate", kServe, {}), row));
    CHECK(estimate["inference"]["decode_step_s"] == row["tpot_s"]);
    CHECK(estimate["inference"]["prefill_s"] == row["ttft_s"]);
    CHECK(estimate["inference"]["max_batch"] == row["fitting_batch"]);
  }
  check_documented(document);
}

TEST_CASE("plan refuses goals that do not go together", "[cli]") {
  require_failure(verb("plan", kTrain, {"--budget", "100"}), 2, {"--budget: 100", "--price-usd-per-device-h"});
  require_failure(verb("plan", kServe, {"--tpot", "0.1", "--deadline", "3"}), 2, {"--deadline: 3", "training run"});
  require_failure(verb("plan", kTrain, {"--deadline", "soon"}), 2, {"--deadline", "soon"});
  require_failure(verb("plan", kTrain, {"--tokens", "1T"}), 2, {"--tokens", "--deadline"});
  require_failure(verb("plan", kTrain, {"--gpus", "12"}), 2, {"--gpus: 12", "whole nodes of 8"});
}

TEST_CASE("the model of lowest loss is reproduced by its overrides, and its loss by dtcalc scaling", "[cli]") {
  const std::vector<std::string> wanted{"--model", "gpt2-124m", "--hardware", "h100", "--cluster", "dgx-h100"};
  const auto document =
      dtcalc_json(verb("plan", wanted, {"--objective", "loss", "--deadline", "6 h", "--gpus", "8", "--best", "3"}));
  REQUIRE(document["best"].size() == 3);
  const auto& best = document["best"][0];
  CHECK(best["loss_nat"] <= document["best"][1]["loss_nat"]);
  CHECK(best["loss_nat"] >= document["law_alone"]["loss_nat"]);
  const auto estimate = dtcalc_json(with_sets(verb("estimate", wanted, {}), best));
  CHECK(estimate["time"]["step_s"] == best["step_s"]);
  CHECK(estimate["model"]["parameters"] == best["parameters"]);
  CHECK(estimate["time"]["training_s"] <= 6 * 3600);
  CHECK(best["effective_tokens"] < best["tokens"]);
  const auto law = dtcalc_json({"scaling", "--parameters", std::to_string(best["parameters"].get<std::int64_t>()),
                                "--tokens", fmt::format("{:.0f}", best["effective_tokens"].get<double>())});
  CHECK(std::abs(law["point"]["loss_nat"].get<double>() - best["loss_nat"].get<double>()) <= 1e-9);
  check_documented(document);
}

TEST_CASE("plan for a loss says what it cannot take", "[cli]") {
  require_failure(verb("plan", kTrain, {"--objective", "loss"}), 2, {"--deadline", "is missing"});
  require_failure(verb("plan", kTrain, {"--objective", "los", "--deadline", "1"}), 2, {"--objective: los"});
  require_failure(verb("plan", kTrain, {"--objective", "loss", "--deadline", "1", "--fit", "hofman"}), 2, {"--fit"});
  require_failure(verb("plan", kTrain, {"--objective", "loss", "--deadline", "1", "--tokens", "1T"}), 2, {"--tokens"});
  require_failure(verb("plan", kTrain, {"--critical-batch", "1M"}), 2, {"--critical-batch", "--objective loss"});
}
