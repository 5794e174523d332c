// `dtcalc validate` on this machine's processor: its page, its slice, its JSON.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;
using nlohmann::json;

namespace {

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// Times on a shared machine may be out of tolerance; the counts never are.
void require_done_or_off(const ProcessResult& result) {
  INFO(result.error);
  REQUIRE((result.exit_code == 0 || result.exit_code == 1));
}

}  // namespace

TEST_CASE("validate writes a page that loads nothing from elsewhere, with every group and the memory", "[cli]") {
  const TemporaryFolder folder;
  const std::filesystem::path page = folder.path() / "page.html";
  const ProcessResult result =
      run_dtcalc({"validate", "--model", "tiny-gpt", "--hardware", "cpu-2-cores", "--set", "training.precision=fp32",
                  "--set", "model.layers=2", "--set", "training.sequence=32", "--steps", "1", "--seconds", "0.01",
                  "--json", "--html", page.string()});
  require_done_or_off(result);
  const json printed = json::parse(result.output);
  const std::string text = content(page);
  CHECK(text.starts_with("<!doctype html>"));
  CHECK(text.ends_with("</html>\n"));
  CHECK(text.find("http") == std::string::npos);
  CHECK(text.find("src=") == std::string::npos);
  CHECK(text.find("NaN") == std::string::npos);
  for (const json& group : printed["groups"]) {
    CHECK(text.find("<td>" + group["name"].get<std::string>() + "</td>") != std::string::npos);
    CHECK(group["compute_fraction"].get<double>() >= 0);
    CHECK(group["bandwidth_fraction"].get<double>() >= 0);
  }
  std::int64_t sum = 0;
  for (const auto& [name, bytes] : printed["memory"]["categories"].items()) sum += bytes.get<std::int64_t>();
  CHECK(sum == printed["memory"]["arena_predicted_bytes"].get<std::int64_t>());
}

TEST_CASE("validate --slice runs blocks of one rank and says what follows for the whole", "[cli]") {
  const std::vector<std::string> whole{"validate",
                                       "--model",
                                       "tiny-gpt",
                                       "--hardware",
                                       "cpu-2-cores",
                                       "--set",
                                       "training.precision=fp32",
                                       "--set",
                                       "training.sequence=32",
                                       "--set",
                                       "cluster.devices_per_node=2",
                                       "--set",
                                       "cluster.link_bytes_per_s=1e10",
                                       "--set",
                                       "training.parallel.tensor=2",
                                       "--steps",
                                       "1",
                                       "--seconds",
                                       "0.01"};
  std::vector<std::string> sliced = whole;
  sliced.insert(sliced.end(), {"--slice", "2", "--json"});
  const ProcessResult result = run_dtcalc(sliced);
  require_done_or_off(result);
  const json printed = json::parse(result.output);
  CHECK(printed["whole"]["tensor"] == 2);
  CHECK(printed["whole"]["blocks"] == 2);
  CHECK(printed["whole"]["step_from_slice_s"].get<double>() > 0);
  CHECK(printed["flops"]["hardware_predicted_flop"] == printed["flops"]["hardware_measured_flop"]);
  sliced = whole;
  sliced.insert(sliced.end(), {"--slice", "1"});
  require_failure(sliced, 2, {"--slice", "2"});
  require_failure(whole, 2, {"/cluster"});  // without a slice there would have to be two devices
}
