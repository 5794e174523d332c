// `dtcalc validate --published` and `dtcalc presets published`.
#include <fmt/format.h>

#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

/// A table of one row on one device, whatever layouts the model knows.
std::string one_row_family(const TemporaryFolder& folder, double step_s) {
  const json document = {
      {"title", "one row"},
      {"citation", {{"authors", "a"}, {"title", "t"}, {"place", "table 1"}, {"url", "u"}, {"date", "2026"}}},
      {"conventions", json::array()},
      {"assumptions", json::array()},
      {"scenario", {{"model", "gpt2-124m"}, {"hardware", "a100-80-sxm"}}},
      {"columns", {"id", "step_s", "memory_device_gb"}},
      {"rows", {{"only", step_s, nullptr}, {"memory", nullptr, 3}}}};
  const std::filesystem::path file = folder.path() / "mine.json";
  write_bytes(file, document.dump());
  return file.string();
}

}  // namespace

TEST_CASE("validate --published compares a table with its predictions", "[cli]") {
  const TemporaryFolder folder;
  const std::string file = one_row_family(folder, 1e-3);
  const json printed = dtcalc_json({"validate", "--published", file});
  CHECK(printed["schema"] == "dtcalc.published/1");
  const json& rows = printed["families"][0]["rows"];
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["figures"][0]["measured"] == 1e-3);
  CHECK(rows[0]["figures"][0]["predicted"] > 0);
  CHECK_FALSE(rows[1]["figures"][0]["skipped"].get<std::string>().empty());
  CHECK(printed["families"][0]["summaries"][0]["rows"] == 1);

  const ProcessResult text = run_dtcalc({"validate", "--published", file});
  CHECK(text.exit_code == 0);
  for (const char* word :
       {"mine: one row", "only", "step_s", "is not modelled: memory", "2 rows of 1 families, 1 skipped"})
    CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring(word));
  const ProcessResult csv = run_dtcalc({"validate", "--csv", "--published", file});
  CHECK(csv.output.substr(0, csv.output.find('\n')) == "family,row,figure,predicted,measured,error,trust,fits,skipped");

  // A prediction that equals the measured value is within any tolerance, one far off is not.
  const double predicted = rows[0]["figures"][0]["predicted"];
  CHECK(run_dtcalc({"validate", "--published", file, "--tolerance", "0.01"}).exit_code == 1);
  const std::string right = one_row_family(folder, predicted);
  CHECK(run_dtcalc({"validate", "--published", right, "--tolerance", "0.01"}).exit_code == 0);
  const json slower = dtcalc_json({"validate", "--published", right, "--set", "training.micro_batch=4"});
  CHECK(slower["families"][0]["summaries"][0]["bias"] > 0.5);
}

TEST_CASE("validate --published without a family takes all of them", "[cli]") {
  const ProcessResult listed = run_dtcalc({"presets", "published", "--names"});
  const ProcessResult all = run_dtcalc({"validate", "--published", "--csv"});
  CHECK(all.exit_code == 0);
  std::size_t families = 0;
  for (std::size_t at = 0, end; (end = listed.output.find('\n', at)) != std::string::npos; at = end + 1, ++families)
    CHECK_THAT(all.output,
               Catch::Matchers::ContainsSubstring(fmt::format("\n{},", listed.output.substr(at, end - at))));
  CHECK(families >= 10);
  CHECK(json::parse(run_dtcalc({"presets", "published", "llmc"}).output).contains("rows"));
}

TEST_CASE("validate --published says what is wrong", "[cli]") {
  require_failure({"validate", "--published", "narayanan-2020"}, 2, {"narayanan-2020", "did you mean narayanan-2021"});
  require_failure({"validate", "--published", "./none.json"}, 3, {"none.json"});
  require_failure({"validate", "--model", "gpt2-124m", "--published"}, 2, {"--published", "gpt2-124m"});
  require_failure({"validate", "--published", "llmc", "--tolerance", "-1"}, 2, {"--tolerance"});
}
