// The published families against the full tables they were selected from, found through DTCALC_DATA: the typed rows
// stand there as typed, and the errors over all rows are no worse than recorded.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
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

// A row's figures in the units of its table must be among those of the open row whose name ends with its own.
TEST_CASE("typed rows have the figures of the open tables") {
  const char* shared = std::getenv("DTCALC_DATA");
  if (shared == nullptr || *shared == '\0') DTCALC_SKIP("published rows: DTCALC_DATA not set");
  struct Table {
    const char *family, *file, *suffix;  ///< which the open name has beside the row's
    std::size_t rows;
  };
  for (const auto& [name, table, suffix, fewest] :
       {Table{"torchtitan-bf16", "torchtitan.json", "", 12}, Table{"simumax-b200", "simumax_b200.json", "_cef", 19},
        Table{"megatron-bridge-fp8", "megatron_bridge.json", "", 35}, Table{"mosaicml-bf16", "mosaicml.json", "", 126},
        Table{"bigscience", "bigscience.json", "", 64}, Table{"fastertransformer", "fastertransformer.json", "", 94},
        Table{"fms-fsdp", "training_misc.json", "", 4}}) {
    const fs::path file = fs::path(shared) / "measured" / table;
    if (!fs::exists(file)) DTCALC_SKIP("published rows: no measured/ in DTCALC_DATA");
    const json open = json::parse(read_bytes(file)).at("rows"),
               typed = json::parse(read_bytes(data / "presets/published" / (std::string(name) + ".json")));
    const json& columns = typed.at("columns");
    std::size_t found = 0;
    for (const json& row : typed.at("rows")) {
      const std::string id = row.at(0).get<std::string>() + suffix;
      const auto same = std::find_if(open.begin(), open.end(), [&](const json& r) {
        std::string other = r.at("id");
        for (const auto& [longer, shorter] : {std::pair("pre-", ""), std::pair("LLAMA", "l")})
          if (const std::size_t at = other.find(longer); at != other.npos)
            other.replace(at, std::strlen(longer), shorter);
        return other.ends_with(id);
      });
      if (same == open.end()) continue;
      ++found;
      CAPTURE(name, id);
      std::vector<double> figures;
      for (const auto& [key, value] : same->at("measured").items())
        if (value.is_number()) figures.push_back(value.get<double>());
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (!figure_column(columns[c].get<std::string>()) || row.at(c).is_null()) continue;
        CAPTURE(columns[c].get<std::string>());
        CHECK(std::find(figures.begin(), figures.end(), row.at(c).get<double>()) != figures.end());
      }
    }
    CHECK(found >= fewest);
  }
}

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
