// README.md and the pages of docs/ claim nothing that a command does not show: every `$ dtcalc …` in their console
// blocks is run, and what the page prints behind it is what the program prints.
//
// DTCALC_APPROVE=1 writes what the program prints now into the pages (not into examples with "..."); look at the
// difference before committing it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;
namespace fs = std::filesystem;

namespace {

using Lines = std::vector<std::string>;

struct Example {
  std::string command;
  std::size_t first = 0;  ///< line of the page on which its output begins
  Lines expected;         ///< "..." stands for any number of lines
};

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<Example> examples(const Lines& page) {
  std::vector<Example> found;
  bool inside = false;
  for (std::size_t i = 0; i < page.size(); ++i) {
    const std::string& line = page[i];
    if (line.starts_with("```"))
      inside = line == "```console";
    else if (inside && line.starts_with("$ "))
      found.push_back({line.substr(2), i + 1, {}});
    else if (inside && !found.empty())
      found.back().expected.push_back(line);
  }
  return found;
}

bool matches(const Lines& expected, std::size_t e, const Lines& shown, std::size_t s) {
  if (e == expected.size()) return s == shown.size();
  if (expected[e] == "...") {
    for (std::size_t rest = s; rest <= shown.size(); ++rest)
      if (matches(expected, e + 1, shown, rest)) return true;
    return false;
  }
  return s < shown.size() && expected[e] == shown[s] && matches(expected, e + 1, shown, s + 1);
}

/// Runs in a folder of its own in which `presets/` is the source's.
Lines output_of(const std::string& command, const fs::path& folder) {
  ProcessOptions options;
  options.arguments = {"-c", "exec 2>&1; " + command};
  options.folder = folder;
  const std::string program = fs::path(DTCALC_PROGRAM).parent_path().string();
  options.environment = {{"DTCALC_DATA_DIR", DTCALC_SOURCE_DIR}, {"PATH", program + ":" + std::getenv("PATH")}};
  return lines_of(run_process("/bin/bash", options).output);
}

void approve(Lines& page, const Example& example, const Lines& shown) {
  const auto first = page.begin() + static_cast<std::ptrdiff_t>(example.first);
  const auto at = page.erase(first, first + static_cast<std::ptrdiff_t>(example.expected.size()));
  page.insert(at, shown.begin(), shown.end());
}

/// The number of examples.
std::size_t check_page(const fs::path& file) {
  Lines page = lines_of(read_bytes(file));
  const std::vector<Example> all = examples(page);
  if (all.empty()) return 0;
  const TemporaryFolder folder;
  fs::create_directory_symlink(fs::path(DTCALC_SOURCE_DIR) / "presets", folder.path() / "presets");
  std::vector<Lines> shown;
  for (const Example& example : all) {
    shown.push_back(output_of(example.command, folder.path()));
    CAPTURE(file.string(), example.command, shown.back(), example.expected);
    CHECK(matches(example.expected, 0, shown.back(), 0));
  }
  if (std::getenv("DTCALC_APPROVE") != nullptr) {
    for (std::size_t i = all.size(); i-- > 0;)
      if (std::find(all[i].expected.begin(), all[i].expected.end(), "...") == all[i].expected.end())
        approve(page, all[i], shown[i]);
    std::string text;
    for (const std::string& line : page) text += line + "\n";
    write_bytes(file, text);
  }
  return all.size();
}

}  // namespace

TEST_CASE("README.md shows what the program prints", "[cli]") {
  CHECK(check_page(fs::path(DTCALC_SOURCE_DIR) / "README.md") >= 5);
}

TEST_CASE("the pages of docs show what the program prints", "[cli]") {
  std::vector<std::string> with_examples;
  for (const auto& entry : fs::directory_iterator(fs::path(DTCALC_SOURCE_DIR) / "docs"))
    if (entry.path().extension() == ".md" && check_page(entry.path()) > 0)
      with_examples.push_back(entry.path().filename().string());
  for (const char* page : {"batch.md", "case-studies.md", "scaling.md"})
    CHECK(std::find(with_examples.begin(), with_examples.end(), page) != with_examples.end());
}
