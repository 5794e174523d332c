// `dtcalc sweep`: the product of the values, rows that fail, the same figures as `estimate`.
#include <sstream>

#include "cli/program.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("a sweep has a row per combination, the last path running fastest", "[cli]") {
  const ProcessResult result = run_dtcalc(
      on_gpt2("sweep", {"--vary", "training.micro_batch=1,2", "--vary", "training.recompute=none,selective,full"}));
  INFO(describe(result));
  REQUIRE(result.exit_code == 0);
  const std::vector<std::string> lines = lines_of(result.output);
  REQUIRE(lines.size() == 7);
  CHECK(lines[0].substr(0, 51) == "training.micro_batch,training.recompute,parameters,");
  CHECK(lines[1].substr(0, 7) == "1,none,");
  CHECK(lines[2].substr(0, 12) == "1,selective,");
  CHECK(lines[4].substr(0, 7) == "2,none,");
}

TEST_CASE("a sweep's rows are the estimates", "[cli]") {
  const json rows = dtcalc_json({"sweep", "--hardware", "h200", "--vary", "model=gpt2-124m,llama3-8b"});
  REQUIRE(rows.size() == 2);
  const json e = dtcalc_json({"estimate", "--hardware", "h200", "--model", "llama3-8b"});
  CHECK(rows[1]["vary"]["model"] == "llama3-8b");
  CHECK(rows[1]["parameters"] == e["model"]["parameters"]);
  CHECK(rows[1]["total_bytes"] == e["memory"]["total_bytes"]);
  CHECK(rows[1]["step_s"] == e["time"]["step_s"]);
}

TEST_CASE("a row that is invalid says why and the sweep goes on", "[cli]") {
  const ProcessResult result = run_dtcalc(on_gpt2("sweep", {"--vary", "model.heads=12,7,6"}));
  CHECK(result.exit_code == 0);
  CHECK(result.error.empty());
  const std::vector<std::string> lines = lines_of(result.output);
  REQUIRE(lines.size() == 4);
  CHECK_THAT(lines[2], Catch::Matchers::ContainsSubstring("/model/heads"));
  CHECK(lines[3].back() == ',');  // no error
  const json rows = dtcalc_json(on_gpt2("sweep", {"--vary", "model.heads=12,7"}));
  CHECK(rows[1].contains("error"));
  CHECK_FALSE(rows[0].contains("error"));
}

TEST_CASE("values of a sweep may be lists, and errors are quoted", "[cli]") {
  const json rows = dtcalc_json(on_gpt2("sweep", {"--vary", R"(training.frozen=[],["query","key"])"}));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["gradients_bytes"] > rows[1]["gradients_bytes"]);
  const ProcessResult result = run_dtcalc(on_gpt2("sweep", {"--vary", "training.micro_batch=1,two"}));
  CHECK_THAT(result.output, Catch::Matchers::ContainsSubstring(R"(,"/training/micro_batch: ""two"" is a string)"));
}

TEST_CASE("a sweep without a single valid row fails", "[cli]") {
  require_failure(on_gpt2("sweep", {"--vary", "training.micro_bach=1,2"}), 2, {"did you mean micro_batch?"});
  require_failure({"sweep", "none.json", "--vary", "training.micro_batch=1"}, 3, {"none.json"});
  require_failure(on_gpt2("sweep"), 2, {"--vary"});
  require_failure(on_gpt2("sweep", {"--vary", "training.micro_batch"}), 2, {"--vary", "path=a,b,c"});
}
