// `dtcalc compare` and `dtcalc roofline`: what they say is what `estimate` says.
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

using namespace dtcalc::test;

namespace {

std::vector<std::string> two(std::initializer_list<std::string> more) {
  std::vector<std::string> arguments{"compare", "--model", "gpt2-124m", "--hardware", "a100-80-sxm"};
  arguments.insert(arguments.end(), more);
  return arguments;
}

double figure(const nlohmann::json& list, const std::string& key, const char* side) {
  for (const auto& row : list)
    if (row["key"] == key) return row[side].get<double>();
  return NAN;
}

}  // namespace

TEST_CASE("compare gives both sides' figures, those that differ alone, the largest effect first", "[cli]") {
  const auto c = dtcalc_json(two({"--with", "training.micro_batch=2", "--with", "training.global_batch=2"}));
  const auto a = dtcalc_json(on_gpt2("estimate"));
  const auto b = dtcalc_json(on_gpt2("estimate", {"--set", "training.micro_batch=2"}));
  CHECK(figure(c["memory"], "memory.total_bytes", "a") == a["memory"]["total_bytes"].get<double>());
  CHECK(figure(c["memory"], "memory.total_bytes", "b") == b["memory"]["total_bytes"].get<double>());
  CHECK(figure(c["time"], "time.step_s", "b") == b["time"]["step_s"].get<double>());
  CHECK(std::isnan(figure(c["memory"], "memory.parameters_bytes", "a")));
  for (const char* list : {"time", "memory", "other"})
    for (std::size_t i = 1; i < c[list].size(); ++i)
      CHECK(std::abs(c[list][i - 1]["share"].get<double>()) >= std::abs(c[list][i]["share"].get<double>()));
  CHECK(c["scenario_keys"].size() == 2);
  CHECK(std::isnan(figure(c["time"], "time.tokens_per_s", "a")));  // no part of the step
  CHECK_FALSE(std::isnan(figure(c["other"], "time.tokens_per_s", "a")));
}

TEST_CASE("compare names equal scenarios equal and says how the step follows the hardware", "[cli]") {
  CHECK(run_dtcalc(two({})).output == "The two scenarios are equal.\n");
  // Twice the rate and twice the bandwidth halve everything but launches: the two sensitivities and the launches' add
  // up to minus one, the launches' own being positive.
  const auto s = dtcalc_json(two({}))["sensitivity"]["a"];
  const double rates =
      s["/hardware/compute_flop_per_s"].get<double>() + s["/hardware/memory_bandwidth_bytes_per_s"].get<double>();
  CHECK(rates < 0);
  CHECK(rates >= -1.001);
  require_failure(two({"--with", "training.micro_bach=2"}), 2, {"did you mean micro_batch?"});
  require_failure({"compare", "none.json", "other.json"}, 3, {"none.json"});
}

// Twice every rate and half of every latency halve every time, so by Euler's theorem the latencies' sensitivities less
// the rates' are one: a figure that was left out would be missing in the sum.
TEST_CASE("compare leaves no figure of one device out of the sensitivities of step, TTFT and TPOT", "[cli]") {
  const auto c = dtcalc_json(two({"--set", "training.micro_batch=1", "--set", "inference.batch=4"}));
  for (const char* figure : {"sensitivity", "prefill_sensitivity", "decode_sensitivity"}) {
    CAPTURE(figure);
    double sum = 0;
    for (const auto& [key, slope] : c[figure]["a"].items())
      sum += key.ends_with("_per_s") ? -slope.get<double>() : slope.get<double>();
    CHECK(std::abs(sum - 1) < 1e-3);  // central differences of one percent
  }
  CHECK_FALSE(c.contains("memory_sensitivity"));
  CHECK_THAT(run_dtcalc(two({"--with", "training.recompute=full"})).output,
             Catch::Matchers::ContainsSubstring("A: no rate or latency of the hardware changes the memory"));
}

TEST_CASE("compare names what differs, not where its profiles come from, and no stage as an amount", "[cli]") {
  const ProcessResult devices =
      run_dtcalc(two({"--with", "hardware.notes=another", "--with", "hardware.clock_hz=1e9"}));
  CHECK_THAT(devices.output, Catch::Matchers::ContainsSubstring(
                                 "2 keys of the scenario differ, but for sources and names: /hardware/clock_hz\n"));
  const auto stages = dtcalc_json(two({"--set", "cluster.devices_per_node=2", "--set", "training.global_batch=2",
                                       "--set", "training.micro_batch=1", "--with", "training.parallel.pipeline=2"}));
  for (const char* list : {"time", "memory", "other"}) {
    CHECK(std::isnan(figure(stages[list], "time.stage", "a")));
    CHECK(std::isnan(figure(stages[list], "memory.stage", "a")));
  }
}

TEST_CASE("roofline lists every group with kernels and bounds it by the ridge", "[cli]") {
  const auto r = dtcalc_json(on_gpt2("roofline", {"--set", "inference.batch=4", "--set", "training.micro_batch=1"}));
  const double ridge = r["ridge_flop_per_byte"].get<double>();
  CHECK(std::abs(ridge - 312e12 / 2.039e12) < 1);  // C.3 with E17
  REQUIRE(r["works"].size() == 3);
  for (const auto& work : r["works"])
    for (const auto& p : work["operators"]) {
      const double intensity = p["flop"].get<double>() / p["bytes"].get<double>();
      CHECK(p["intensity_flop_per_byte"].get<double>() == intensity);
      CHECK((p["bound"] == "memory") == (intensity < ridge));
      CHECK(p["achieved_flop_per_s"].get<double>() <= p["attainable_flop_per_s"].get<double>() * (1 + 1e-9));
    }
}
