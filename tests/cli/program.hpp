// Running the built `dtcalc` from the tests of this folder.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/process.hpp"

namespace dtcalc::test {

/// Runs `dtcalc` with the source tree's data and without colour or terminal.
inline ProcessResult run_dtcalc(std::vector<std::string> arguments, ProcessOptions options = {}) {
  options.arguments = std::move(arguments);
  options.environment.emplace_back("DTCALC_DATA_DIR", DTCALC_SOURCE_DIR);
  return run_process(DTCALC_PROGRAM, options);
}

/// Its standard output as JSON, after a run that must succeed without a word on standard error.
inline nlohmann::json dtcalc_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProcessResult result = run_dtcalc(std::move(arguments));
  INFO(describe(result));
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.error.empty());
  return nlohmann::json::parse(result.output);
}

inline const std::vector<std::string>& gpt2_on_a100() {
  static const std::vector<std::string> arguments{"--model", "gpt2-124m", "--hardware", "a100-80-sxm"};
  return arguments;
}

/// `verb --model gpt2-124m --hardware a100-80-sxm more…`
inline std::vector<std::string> on_gpt2(const std::string& verb, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{verb};
  arguments.insert(arguments.end(), gpt2_on_a100().begin(), gpt2_on_a100().end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// The run must fail with this code, say `words` on standard error and nothing on standard output.
inline void require_failure(const std::vector<std::string>& arguments, int exit_code,
                            const std::vector<std::string>& words) {
  const ProcessResult result = run_dtcalc(arguments);
  INFO(describe(result));
  CHECK(result.exit_code == exit_code);
  CHECK(result.output.empty());
  CHECK(result.error.substr(0, 7) == "error: ");
  for (const std::string& word : words) CHECK_THAT(result.error, Catch::Matchers::ContainsSubstring(word));
}

}  // namespace dtcalc::test
