// README.md claims nothing that a command does not show: every `$ dtcalc …` in its console blocks is run, and what the
// README prints behind it is what the program prints.
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;

namespace {

struct Example {
  std::string command;
  std::vector<std::string> expected;  ///< lines; "..." stands for any number of lines
};

std::vector<Example> examples(const std::string& page) {
  std::vector<Example> found;
  std::istringstream lines(page);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```"))
      inside = line == "```console";
    else if (inside && line.starts_with("$ "))
      found.push_back({line.substr(2), {}});
    else if (inside && !found.empty())
      found.back().expected.push_back(line);
  }
  return found;
}

bool matches(const std::vector<std::string>& expected, std::size_t e, const std::vector<std::string>& shown,
             std::size_t s) {
  if (e == expected.size()) return s == shown.size();
  if (expected[e] == "...") {
    for (std::size_t rest = s; rest <= shown.size(); ++rest)
      if (matches(expected, e + 1, shown, rest)) return true;
    return false;
  }
  return s < shown.size() && expected[e] == shown[s] && matches(expected, e + 1, shown, s + 1);
}

}  // namespace

TEST_CASE("README.md shows what the program prints", "[cli]") {
  const std::vector<Example> all = examples(read_bytes(std::filesystem::path(DTCALC_SOURCE_DIR) / "README.md"));
  CHECK(all.size() >= 5);
  const TemporaryFolder folder;
  for (const Example& example : all) {
    ProcessOptions options;
    options.arguments = {"-c", "exec 2>&1; " + example.command};
    options.folder = folder.path();
    const std::string program = std::filesystem::path(DTCALC_PROGRAM).parent_path().string();
    options.environment = {{"DTCALC_DATA_DIR", DTCALC_SOURCE_DIR}, {"PATH", program + ":" + std::getenv("PATH")}};
    const ProcessResult result = run_process("/bin/bash", options);
    std::vector<std::string> shown;
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);) shown.push_back(line);
    CAPTURE(example.command, result.output, example.expected);
    CHECK(matches(example.expected, 0, shown, 0));
  }
}
