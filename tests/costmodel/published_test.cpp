// Published tables: the loader and its errors, the figures and their conventions, the comparison's statistics, and the
// recorded errors that no change may make worse.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "costmodel/published/compare.hpp"
#include "costmodel/published/report.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::published;
using Catch::Matchers::ContainsSubstring;
using dtcalc::test::read_bytes;
using dtcalc::test::TemporaryFolder;
using dtcalc::test::write_bytes;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path data = DTCALC_SOURCE_DIR;
const Folders folders{data, {}};

std::vector<Family> all_families() {
  Result<std::vector<Family>> loaded = load_families({}, folders);
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return std::move(loaded).value();
}

const Row& row_of(const Family& family, std::string_view id) {
  for (const Row& row : family.rows)
    if (row.id == id) return row;
  FAIL("no row " << id << " in " << family.name);
  return family.rows.front();
}

/// A family of one device, with the given columns and rows.
json small_family(const json& columns, const json& rows) {
  return {{"title", "t"},
          {"citation", {{"authors", "a"}, {"title", "t"}, {"place", "table 1"}, {"url", "u"}, {"date", "2026"}}},
          {"conventions", json::array()},
          {"assumptions", json::array()},
          {"scenario", {{"model", "gpt2-124m"}, {"hardware", "a100-80-sxm"}, {"training", {{"micro_batch", 4}}}}},
          {"columns", columns},
          {"rows", rows}};
}

Result<Family> load(const json& document) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "family.json", document.dump());
  return load_family((folder.path() / "family.json").string(), folders);
}

Comparison compared(const json& document) {
  Result<Family> family = load(document);
  INFO(describe(family.errors()));
  REQUIRE(family);
  return compare(std::move(family).value(), folders);
}

report::Estimate estimate_of(const Family& family) {
  return report::estimate(load_scenario(json::parse(family.scenario), folders).value());
}

}  // namespace

TEST_CASE("published tables: at least 250 rows of 10 families, each cited") {
  const std::vector<Family> families = all_families();
  std::size_t rows = 0;
  for (const Family& family : families) {
    CAPTURE(family.name);
    rows += family.rows.size();
    CHECK(family.citation.url.starts_with("https://"));
    CHECK(family.citation.date.starts_with("202"));
    CHECK_FALSE(family.conventions.empty());
    CHECK_FALSE(family.assumptions.empty());
    for (const Row& row : family.rows) CHECK_FALSE(row.trust.empty());
    for (const Goal& goal : family.goals) {
      bool printed = false;
      for (const Row& row : family.rows)
        for (const Measured& m : row.measured) printed = printed || m.figure == goal.figure;
      CHECK(printed);
    }
  }
  CHECK(families.size() >= 10);
  CHECK(rows >= 250);
}

TEST_CASE("published figures arrive in SI units with the row's own layout") {
  const Family korthikanti = load_family("korthikanti-2022", folders).value();
  const Row& row = row_of(korthikanti, "530b-selsp");
  REQUIRE(row.measured.size() == 1);
  CHECK(row.measured[0].figure == Figure::step);
  CHECK(row.measured[0].value == 37.83);
  CHECK(std::find(row.set.begin(), row.set.end(), "/training/parallel/pipeline=35") != row.set.end());
  const Family simumax = load_family("simumax-b200", folders).value();
  const std::vector<Measured>& memory = row_of(simumax, "70b_l12_tp4_pp1_dp2_mbc4").measured;
  REQUIRE(memory.size() == 3);
  CHECK(memory[0].value == Approx(0.4098).epsilon(1e-12));
  CHECK(memory[1].value == Approx(39.07 * 1073741824).epsilon(1e-12));
  const Family narayanan = load_family("narayanan-2021", folders).value();
  CHECK(row_of(narayanan, "1.7B").measured[0].value == 137e12);
}

TEST_CASE("a broken table reports all errors with their places") {
  json document = small_family({"id", "trust", "/training/micro_batch", "step_s"},
                               {{"a", "A", 4, 1.5}, {"a", "E", 4, -1}, {"b", "A", 4}, {"c", "A", 4, nullptr}});
  document["citation"].erase("url");
  document["goal"] = 1;
  document["flop_convention"] = "mine";
  const Result<Family> structure = load(document);
  REQUIRE_FALSE(structure);
  const std::string first = describe(structure.errors());
  for (const char* part : {"#/citation/url: is missing", "#/goal: is not a known key; did you mean goals?",
                           "#/flop_convention: \"mine\" is no FLOP convention"})
    CHECK_THAT(first, ContainsSubstring(part));
  document["citation"]["url"] = "u";
  document.erase("goal");
  document.erase("flop_convention");
  const std::string rows = describe(load(document).errors());
  for (const char* part : {"#/rows/1/0: \"a\" is given twice", "#/rows/1/1: \"E\" is no grade of trust",
                           "#/rows/1/3: -1 is not a positive number", "#/rows/2", "is not a list of 4 cells",
                           "#/rows/3: \"c\" has no measured figure"})
    CHECK_THAT(rows, ContainsSubstring(part));
  document["columns"][3] = "step_seconds";
  CHECK_THAT(describe(load(document).errors()), ContainsSubstring("#/columns/3: names no figure (\"step_seconds\")"));
  CHECK_THAT(describe(load_family("korthikanti", folders).errors()),
             ContainsSubstring("did you mean korthikanti-2022?"));
}

// Narayanan 2021, table 1, 1.7B: 137 TFLOP/s on each of 32 GPUs, 512 sequences of 2048 tokens. Equation (3) of the
// paper by hand: 96 * 512 * 2048 * 24 * 2304^2 * (1 + 2048/(6*2304) + 51200/(16*24*2304)).
TEST_CASE("FLOP conventions follow the formulas they are named after") {
  const double B = 512, S = 2048, L = 24, D = 2304, V = 51200;
  const json document = {
      {"model",
       {{"layers", 24}, {"hidden_size", 2304}, {"heads", 24}, {"vocabulary_size", 51200}, {"max_sequence", 2048}}},
      {"hardware", "a100-80-sxm"},
      {"training", {{"micro_batch", 512}, {"precision", "fp16_mixed"}}}};
  const Scenario scenario = load_scenario(document, folders).value();
  const nlohmann::ordered_json estimate = {{"time", {{"step_s", 2.0}}}, {"flops", {{"model_flop", 6e12}}}};
  const double by_paper = 96 * B * S * L * D * D * (1 + S / (6 * D) + V / (16 * L * D));
  const double without = 72 * B * S * L * D * D * (1 + S / (6 * D) + V / (12 * L * D));
  CHECK(*predict(Figure::flop_per_device, FlopConvention::megatron_recompute, scenario, estimate) ==
        Approx(by_paper / 2).epsilon(1e-12));
  CHECK(*predict(Figure::flop_per_device, FlopConvention::megatron, scenario, estimate) ==
        Approx(without / 2).epsilon(1e-12));
  CHECK(*predict(Figure::flop_per_device, FlopConvention::model_flop, scenario, estimate) == 3e12);
  CHECK(*predict(Figure::mfu, FlopConvention::megatron, scenario, estimate) ==
        Approx(without / 2 / 312e12).epsilon(1e-12));
  CHECK(*predict(Figure::tokens, FlopConvention::none, scenario, estimate) == B * S / 2);
  CHECK_FALSE(predict(Figure::mfu, FlopConvention::none, scenario, estimate));
  CHECK_FALSE(predict(Figure::memory_reserved, FlopConvention::none, scenario, estimate));
}

TEST_CASE("latency is a prefill and a decode step for each further token") {
  const Scenario scenario = load_scenario({{"model", "gpt2-124m"},
                                           {"hardware", "a100-80-sxm"},
                                           {"inference", {{"batch", 3}, {"prompt_tokens", 10}, {"new_tokens", 5}}}},
                                          folders)
                                .value();
  const nlohmann::ordered_json estimate = {
      {"inference", {{"prefill_s", 1.0}, {"decode_step_s", 0.25}, {"served_token_s", 0.5}}}};
  CHECK(*predict(Figure::latency, FlopConvention::none, scenario, estimate) == 2.0);
  CHECK(*predict(Figure::output_tokens, FlopConvention::none, scenario, estimate) == 7.5);
  CHECK(*predict(Figure::time_to_first, FlopConvention::none, scenario, estimate) == 1.0);
  CHECK(*predict(Figure::time_per_output, FlopConvention::none, scenario, estimate) == 0.5);
}

TEST_CASE("mean absolute error, bias and worst row are those of the rows") {
  const Family family = load(small_family({"id", "step_s"}, json::array({json::array({"a", 1})}))).value();
  const double step = estimate_of(family).totals.step.value();
  json document = small_family({"id", "trust", "step_s", "tokens_per_s"},
                               {{"fast", "A", step / 1.1, nullptr}, {"slow", "B", step / 0.8, 4096 / step}});
  document["goals"] = {{"step_s", 0.2}};
  const Comparison c = compared(document);
  REQUIRE(c.summaries.size() == 2);
  const Summary& s = c.summaries[0];
  CHECK(s.rows == 2);
  CHECK(s.mean_absolute_error == Approx(0.15).epsilon(1e-9));
  CHECK(s.bias == Approx(-0.05).epsilon(1e-9));
  CHECK(s.worst == "slow");
  CHECK(s.worst_error == Approx(-0.2).epsilon(1e-9));
  CHECK(s.goal == 0.2);
  CHECK(std::abs(c.summaries[1].bias) < 1e-12);
  CHECK(within(c, 0.16));
  CHECK_FALSE(within(c, 0.14));
  const json printed = to_json(std::span(&c, 1));
  CHECK(printed["families"][0]["summaries"][0]["worst_row"] == "slow");
  CHECK(printed["families"][0]["rows"][1]["figures"][0]["error"] == c.rows[1].figures[0].error());
}

TEST_CASE("the suspect is the part whose time was wrong") {
  const Family family = load(small_family({"id", "step_s"}, json::array({json::array({"a", 1})}))).value();
  json rows = json::array();
  for (const int batch : {2, 4, 8, 16}) {
    Scenario scenario = load_scenario(json::parse(family.scenario), folders).value();
    scenario.training.micro_batch = scenario.training.global_batch = batch;
    const report::Estimate e = report::estimate(scenario);
    double wrong = 0;  // the measured head takes half again as long
    for (const report::OperatorRow& row : e.operators)
      if (row.name == "head.product") wrong += row.time.value() / 2;
    REQUIRE(wrong > 0);
    rows.push_back(json::array({fmt::format("b{}", batch), batch, batch, e.totals.step.value() + wrong}));
  }
  const Comparison c =
      compared(small_family({"id", "/training/micro_batch", "/training/global_batch", "step_s"}, rows));
  REQUIRE_FALSE(c.suspects.empty());
  CHECK(c.suspects[0].part == "head.product");
  CHECK(c.suspects[0].factor == Approx(1.5).epsilon(0.03));  // the grid's steps are 4 %
  CHECK(c.suspects[0].error_left < 0.1 * c.summaries[0].mean_absolute_error);
}

TEST_CASE("the parts of a step add up to it, with every layout") {
  for (const char* name : {"korthikanti-2022", "simumax-b200", "narayanan-2021-zero", "llmq", "vtrain-single-node"})
    for (const ComparedRow& row : compare(load_family(name, folders).value(), folders).rows) {
      if (row.measured_step_s == 0) continue;
      CAPTURE(name, row.id);
      double step = 0;
      for (const auto& [part, seconds] : row.parts) step += seconds;
      const Compared& speed = row.figures.front();
      const double ratio = is_cost(speed.figure) ? speed.predicted / speed.measured : speed.measured / speed.predicted;
      CHECK(step / row.measured_step_s == Approx(ratio).epsilon(1e-9));
    }
}

TEST_CASE("no suspect leaves more than the error of the step, where the host is waited for too") {
  const Comparison c = compare(load_family("vtrain-single-node", folders).value(), folders);
  REQUIRE(c.suspects.size() > 1);
  REQUIRE(c.summaries.size() == 1);  // step_s, so the parts' error is the figure's
  for (const Suspect& s : c.suspects) {
    CAPTURE(s.part);
    CHECK(s.error_left <= c.summaries[0].mean_absolute_error + 1e-12);
  }
}

TEST_CASE("rows that cannot be predicted are kept with the reason") {
  const Comparison c = compared(small_family(
      {"id", "/model/heads", "/training/frobnicate", "step_s", "memory_device_gb"},
      {{"fine", nullptr, nullptr, 1, 2}, {"heads", 7, nullptr, 1, nullptr}, {"key", nullptr, 1, 1, nullptr}}));
  CHECK(c.skipped_rows == 2);
  CHECK(c.skipped_figures == 3);
  REQUIRE(c.rows.size() == 3);
  CHECK(c.rows[0].figures[0].skipped.empty());
  CHECK_THAT(c.rows[0].figures[1].skipped, ContainsSubstring("is not modelled"));
  CHECK_THAT(c.rows[1].figures[0].skipped, ContainsSubstring("/model/head"));
  CHECK_THAT(c.rows[2].figures[0].skipped, ContainsSubstring("/training/frobnicate: is not a known key"));
  const std::string text = to_text(std::span(&c, 1), false);
  CHECK_THAT(text, ContainsSubstring("3 rows of 1 families, 2 skipped"));
  CHECK_THAT(text, ContainsSubstring("is not a known key: key"));
}

TEST_CASE("a profile's own models and overrides change every row") {
  json document = small_family({"id", "/model", "step_s"}, {{"two", "two-layers", 1}, {"whole", "gpt2-124m", 1}});
  document["models"] = {{"two-layers", {{"preset", "gpt2-124m"}, {"layers", 2}}}};
  const Comparison c = compared(document);
  CHECK(c.rows[0].figures[0].predicted < c.rows[1].figures[0].predicted);
  const std::vector<std::string> overrides{"training.micro_batch=8"};
  const Comparison doubled = compare(load(document).value(), folders, overrides);
  CHECK(doubled.rows[1].figures[0].predicted > 1.5 * c.rows[1].figures[0].predicted);
}

// DTCALC_APPROVE=1 writes the errors of this version; look at the difference before committing it.
TEST_CASE("no published family is predicted worse than recorded", "[slow]") {
  std::vector<Comparison> comparisons;
  for (Family& family : all_families()) comparisons.push_back(compare(std::move(family), folders));
  const fs::path file = data / "presets/published/recorded/errors.json";
  if (std::getenv("DTCALC_APPROVE") != nullptr) write_bytes(file, to_record(comparisons));
  const json recorded = json::parse(read_bytes(file)), now = json::parse(to_record(comparisons));
  CHECK_FALSE(recorded.empty());
  for (const auto& [key, figure] : recorded.items()) {
    CAPTURE(key);
    REQUIRE(now.contains(key));
    CHECK(now[key]["rows"] >= figure["rows"]);
    // The record is rounded to 1e-4.
    CHECK(now[key]["mean_absolute_error"].get<double>() <= figure["mean_absolute_error"].get<double>() + 1e-4);
  }

  // docs/accuracy.md is written with the record.
  const fs::path page = data / "docs/accuracy.md";
  std::string text = read_bytes(page);
  const auto replace = [&](const std::string& name, const std::string& table) {
    const std::string open = "<!-- table: " + name + " -->\n";
    const std::size_t from = text.find(open), to = text.find("<!-- end -->", from);
    REQUIRE(from != std::string::npos);
    REQUIRE(to != std::string::npos);
    text.replace(from + open.size(), to - from - open.size(), table);
  };
  if (std::getenv("DTCALC_APPROVE") != nullptr) {
    replace("errors", markdown_errors(comparisons));
    replace("suspects", markdown_suspects(comparisons));
    replace("assumptions", markdown_assumptions(comparisons));
    write_bytes(page, text);
  }
  for (const auto& [key, figure] : recorded.items()) {
    const std::size_t slash = key.find('/');
    const std::string line =
        fmt::format("| {} | {} | {} |", key.substr(0, slash), key.substr(slash + 1), figure["rows"].get<int>());
    CHECK_THAT(text, ContainsSubstring(line));
  }
}

TEST_CASE("docs/published.md explains every column of figures and every FLOP convention") {
  const std::string page = read_bytes(data / "docs/published.md");
  for (const std::string& key : figure_keys()) CHECK_THAT(page, ContainsSubstring(fmt::format("`{}`", key)));
  for (const FlopConvention convention :
       {FlopConvention::megatron, FlopConvention::megatron_recompute, FlopConvention::model_flop}) {
    CHECK_THAT(page, ContainsSubstring(fmt::format("`{}`", name_of(convention))));
    CHECK(flop_convention(name_of(convention)) == convention);
  }
}
