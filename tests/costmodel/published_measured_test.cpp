// The published families against the full tables they were selected from, found through DTCALC_DATA: the typed rows
// stand there as typed, and the errors over all rows are no worse than recorded.
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "costmodel/published/compare.hpp"
#include "costmodel/published/report.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::published;
using dtcalc::test::read_bytes;
using dtcalc::test::write_bytes;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path data = DTCALC_SOURCE_DIR;
const Folders folders{data, {}};

std::vector<std::map<std::string, std::string>> read_csv(const fs::path& file) {
  std::ifstream lines(file);
  const auto cells = [](const std::string& line) {
    std::vector<std::string> result;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) result.push_back(cell);
    return result;
  };
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> titles = cells(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(lines, line)) {
    const std::vector<std::string> values = cells(line);
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < titles.size() && i < values.size(); ++i) row[titles[i]] = values[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

/// A row of vTrain's tables as the families in presets/published/ write it.
Row row_of(const std::map<std::string, std::string>& cells, std::size_t line) {
  const auto integer = [&](const char* title) { return std::stoll(cells.at(title)); };
  const long long devices = integer("# GPUs"), per_node = std::min(devices, 8LL);
  Row row;
  row.id = fmt::format("line-{}", line);
  row.set = {fmt::format("/model/layers={}", integer("# layers")),
             fmt::format("/model/hidden_size={}", integer("hidden size")),
             fmt::format("/model/heads={}", integer("attention heads")),
             fmt::format("/cluster/nodes={}", devices / per_node),
             fmt::format("/cluster/devices_per_node={}", per_node),
             fmt::format("/training/micro_batch={}", integer("micro batch")),
             fmt::format("/training/global_batch={}", integer("global batch")),
             fmt::format("/training/parallel/tensor={}", integer("tensor parallelism")),
             fmt::format("/training/parallel/pipeline={}", integer("pipeline parallelism"))};
  row.measured = {{Figure::step, std::stod(cells.at("iteration time (ms)")) * 1e-3}};
  return row;
}

}  // namespace

// DTCALC_APPROVE=1 writes the errors of this version.
TEST_CASE("vTrain's whole tables hold the typed rows and are predicted no worse than recorded", "[slow]") {
  const char* shared = std::getenv("DTCALC_DATA");
  if (shared == nullptr || *shared == '\0') DTCALC_SKIP("published tables: DTCALC_DATA not set");
  const fs::path measured = fs::path(shared) / "measured";
  if (!fs::exists(measured)) DTCALC_SKIP("published tables: no measured/ in DTCALC_DATA");
  std::vector<Comparison> comparisons;
  for (const auto& [name, table, rows] : {std::tuple("vtrain-single-node", "vtrain_single_node.csv", 720U),
                                          std::tuple("vtrain-multi-node", "vtrain_multi_node.csv", 54U)}) {
    Family family = load_family(name, folders).value();
    std::multiset<std::pair<std::vector<std::string>, double>> whole;
    const std::vector<Row> typed = std::move(family.rows);
    family.rows.clear();
    for (const auto& cells : read_csv(measured / table)) {
      family.rows.push_back(row_of(cells, family.rows.size() + 2));
      whole.emplace(family.rows.back().set, family.rows.back().measured[0].value);
    }
    CAPTURE(name);
    CHECK(family.rows.size() == rows);
    for (const Row& row : typed) {
      CAPTURE(row.id);
      CHECK(whole.contains({row.set, row.measured.at(0).value}));
    }
    family.name += "-whole";
    comparisons.push_back(compare(std::move(family), folders));
    for (const Summary& s : comparisons.back().summaries)
      fmt::print("{}: {} rows, error {:.2f} %, bias {:+.2f} %\n", comparisons.back().family.name, s.rows,
                 100 * s.mean_absolute_error, 100 * s.bias);
  }
  const fs::path file = data / "presets/published/recorded/whole_tables.json";
  if (std::getenv("DTCALC_APPROVE") != nullptr) write_bytes(file, to_record(comparisons));
  const json recorded = json::parse(read_bytes(file)), now = json::parse(to_record(comparisons));
  for (const auto& [key, figure] : recorded.items()) {
    CAPTURE(key);
    REQUIRE(now.contains(key));
    CHECK(now[key]["rows"] >= figure["rows"]);
    CHECK(now[key]["mean_absolute_error"].get<double>() <= figure["mean_absolute_error"].get<double>() + 1e-4);
  }
}
