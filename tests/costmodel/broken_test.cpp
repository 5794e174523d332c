// Every file in broken/ is refused with the errors that broken/expected.txt lists, and none of them crashes a loader.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

const fs::path data = DTCALC_SOURCE_DIR;
const fs::path broken = data / "tests" / "costmodel" / "broken";

struct Case {
  std::string file, loader;
  std::size_t errors = 0;
  std::vector<std::string> fragments;
};

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t end = 0; end != std::string::npos; start = end + separator.size()) {
    end = text.find(separator, start);
    parts.push_back(text.substr(start, end == std::string::npos ? end : end - start));
  }
  return parts;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  std::ifstream table(broken / "expected.txt");
  for (std::string line; std::getline(table, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> columns = split(line, " | ");
    REQUIRE(columns.size() == 4);
    list.push_back({columns[0], columns[1], std::stoul(columns[2]), split(columns[3], " && ")});
  }
  return list;
}

std::vector<Error> errors_of(const Case& one) {
  const std::string path = (broken / one.file).string();
  const Folders folders{data, {}};
  if (one.loader == "scenario") return load_scenario_file(path, data).errors();
  if (one.loader == "model") return load_model(path, folders).errors();
  if (one.loader == "hardware") return load_device(path, folders).errors();
  return load_software(path, folders).errors();
}

}  // namespace

TEST_CASE("each broken file gives its errors, with place, reason and way out") {
  for (const Case& one : cases()) {
    const std::vector<Error> errors = errors_of(one);
    const std::string text = describe(errors);
    INFO(one.file << "\n" << text);
    CHECK(errors.size() == one.errors);
    for (const std::string& fragment : one.fragments) CHECK_THAT(text, ContainsSubstring(fragment));
    for (const Error& error : errors) {
      CHECK_FALSE(error.place.empty());
      CHECK_FALSE(error.reason.empty());
      CHECK_FALSE(error.way_out.empty());
    }
  }
}

TEST_CASE("the table of broken files names every file, at least sixty") {
  std::set<std::string> listed;
  for (const Case& one : cases()) listed.insert(one.file);
  std::set<std::string> present;
  for (const fs::directory_entry& entry : fs::directory_iterator(broken))
    if (entry.path().extension() == ".json") present.insert(entry.path().filename().string());
  CHECK(listed == present);
  CHECK(present.size() >= 60);
}
