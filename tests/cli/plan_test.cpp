// `dtcalc plan`: output forms, kept keys, wrong input.
#include <nlohmann/json.hpp>

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
