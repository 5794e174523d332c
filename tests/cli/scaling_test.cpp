// `dtcalc scaling`: figures of the papers, the model's own parameters and times, JSON and CSV, broken input.
#include <cmath>
#include <sstream>

#include "cli/documented.hpp"
#include "cli/program.hpp"

using namespace dtcalc::test;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

std::vector<std::string> scaling(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"scaling"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("Chinchilla's loss and optimum by each fit (golden values)", "[cli]") {
  const json point = dtcalc_json(scaling({"--parameters", "70B", "--tokens", "1.4T", "--fit", "hoffmann"}))["point"];
  CHECK(point["loss_nat"].get<double>() == Approx(1.9366454705587173).epsilon(1e-12));
  CHECK(point["compute_flop"] == 6 * 70e9 * 1.4e12);
  CHECK(point["irreducible_nat"].get<double>() + point["of_parameters_nat"].get<double>() +
            point["of_tokens_nat"].get<double>() ==
        Approx(point["loss_nat"].get<double>()));
  const std::pair<const char*, double> optima[] = {
      {"hoffmann", 32189859151.368168}, {"hoffmann-unrounded", 40310496396.3497}, {"besiroglu", 72248702500.38242}};
  for (const auto& [fit, parameters] : optima) {
    CAPTURE(fit);
    const json e = dtcalc_json(scaling({"--compute", "5.76e23", "--fit", fit}));
    CHECK(e["fit"] == fit);
    CHECK(e["optima"][0]["law"] == fit);
    CHECK(e["point"]["parameters"].get<double>() == Approx(parameters).epsilon(1e-9));
    CHECK(e["searched"]["parameters"].get<double>() == Approx(parameters).epsilon(1e-5));
    CHECK(e["point"]["above_optimum_nat"] == 0.0);
    for (const json& row : e["optima"])
      if (row["law"] == "approach-1") CHECK(row["parameters"].get<double>() == Approx(67e9));  // table 3
  }
}

TEST_CASE("units of options: prefixes, the unit itself, bare numbers", "[cli]") {
  const json bare = dtcalc_json(scaling({"--parameters", "7e9", "--compute", "1e21"}));
  CHECK(dtcalc_json(scaling({"--parameters", "7B", "--compute", "1 ZFLOP"})) == bare);
  CHECK(dtcalc_json(scaling({"--parameters", "7B parameters", "--compute", "1000 EFLOP"})) == bare);
}

TEST_CASE("a model brings its parameters, with and without embeddings, and its own speed", "[cli]") {
  const json e = dtcalc_json(on_gpt2("estimate"));
  const json s = dtcalc_json(on_gpt2("scaling", {"--tokens", "10B"}));
  CHECK(s["point"]["parameters"] == e["model"]["parameters"].get<double>());
  CHECK(s["point"]["non_embedding_parameters"] == e["model"]["non_embedding_parameters"].get<double>());
  CHECK(s["run"]["tokens_per_s"].get<double>() == Approx(e["time"]["tokens_per_s"].get<double>()));
  CHECK(s["run"]["time_s"].get<double>() == Approx(1e10 / e["time"]["tokens_per_s"].get<double>()));
  CHECK(s["run"]["energy_kwh"].get<double>() == Approx(0.4 * s["run"]["device_hours"].get<double>()));  // 400 W
  // Without a device only the parameters are known; --set reaches the model.
  const json alone = dtcalc_json(scaling({"--model", "gpt2-124m", "--tokens", "10B"}));
  CHECK(alone["point"] == s["point"]);
  CHECK_FALSE(alone.contains("run"));
  CHECK(dtcalc_json(scaling({"--model", "gpt2-124m", "--set", "model.layers=24"}))["point"]["parameters"] > 2e8);
}

TEST_CASE("time, device-hours, energy and money of a run", "[cli]") {
  const json run = dtcalc_json(
      scaling({"--parameters", "70B", "--tokens", "1.4T", "--flop-rate", "312 TFLOP/s", "--mfu", "0.5", "--devices",
               "1000", "--power-w", "400", "--price-usd-per-device-h", "2", "--price-usd-per-kwh", "0.1"}))["run"];
  const double seconds = 6 * 70e9 * 1.4e12 / (1000 * 312e12 * 0.5);
  CHECK(run["time_s"].get<double>() == Approx(seconds));
  CHECK(run["device_hours"].get<double>() == Approx(seconds / 3.6));
  CHECK(run["rent_usd"].get<double>() == Approx(2 * seconds / 3.6));
  CHECK(run["energy_kwh"].get<double>() == Approx(0.4 * seconds / 3.6));
  CHECK(run["electricity_usd"].get<double>() == Approx(0.04 * seconds / 3.6));
}

TEST_CASE("isoFLOP curves as CSV: a row per point, one minimum per curve", "[cli]") {
  const ProcessResult csv = run_dtcalc(scaling({"--isoflop", "1e20,1e21", "--points", "5", "--csv"}));
  REQUIRE(csv.exit_code == 0);
  std::istringstream lines(csv.output);
  std::string line;
  std::getline(lines, line);
  CHECK(line == "compute_flop,parameters,tokens,tokens_per_parameter,loss_nat,minimum");
  int minima = 0, rows = 0;
  while (std::getline(lines, line)) minima += line.back() == '1' ? 1 : 0, ++rows;
  CHECK(rows == 10);
  CHECK(minima == 2);
  const ProcessResult text = run_dtcalc(scaling({"--isoflop", "1e20", "--points", "5"}));
  CHECK_THAT(text.output, ContainsSubstring("  minimum\n"));
}

TEST_CASE("the schedule is the scenario's, or that of the options", "[cli]") {
  const json given = dtcalc_json(scaling({"--schedule", "--steps", "1000", "--warmup-steps", "200", "--learning-rate",
                                          "1e-3", "--final-learning-rate", "1e-4"}))["schedule"];
  CHECK(given.front()["learning_rate"] == 0.0);
  CHECK(given.back() == json({{"step", 1000.0}, {"learning_rate", 1e-4}}));
  bool middle = false;
  for (const json& p : given)
    if (p["step"] == 600.0) {
      CHECK(p["learning_rate"].get<double>() == Approx(5.5e-4));  // half a cosine, E30
      middle = true;
    }
  CHECK(middle);
  const json scenario = dtcalc_json(
      on_gpt2("scaling", {"--schedule", "--set", "training.steps=400", "--set", "training.warmup_steps=40"}));
  CHECK(scenario["schedule"].back()["step"] == 400.0);
  // Tokens decide the steps: 1024 a step here.
  CHECK(dtcalc_json(on_gpt2("scaling", {"--schedule", "--tokens", "1024000"}))["schedule"].back()["step"] == 1000.0);
  CHECK(run_dtcalc(scaling({"--schedule", "--steps", "10", "--learning-rate", "1", "--csv"})).output.substr(0, 19) ==
        "step,learning_rate\n");
}

TEST_CASE("scaling without a question prints the laws and the published frontiers", "[cli]") {
  const ProcessResult text = run_dtcalc({"scaling"});
  CHECK(text.exit_code == 0);
  for (const char* word : {"482.01", "0.3392", "(8.8e13 / N)^0.076", "1.92e19 FLOP", "0.488-0.502"})
    CHECK_THAT(text.output, ContainsSubstring(word));
  CHECK(lines_of(run_dtcalc({"scaling", "--csv"}).output) == 10);
  CHECK(lines_of(run_dtcalc(scaling({"--parameters", "7B", "--csv"})).output) == 9);
}

TEST_CASE("docs/json.md explains every key of scaling", "[cli]") {
  check_documented(dtcalc_json(
      on_gpt2("scaling", {"--tokens", "10B", "--inference-tokens", "1T", "--isoflop", "1e20", "--schedule", "--power-w",
                          "400", "--price-usd-per-kwh", "0.1", "--price-usd-per-device-h", "1"})));
}

TEST_CASE("scaling refuses what cannot be, and says why", "[cli]") {
  for (const char* option : {"--parameters", "--tokens", "--compute", "--loss", "--inference-tokens", "--isoflop",
                             "--flop-rate", "--mfu", "--devices", "--power-w", "--price-usd-per-kwh"})
    for (const char* value : {"0", "-1", "nan", "inf", "1e999", "x", "7 apples"}) {
      CAPTURE(option, value);
      require_failure(scaling({std::string(option) + "=" + value}), 2, {option});
    }
  require_failure(scaling({"--loss", "1.9", "--parameters", "7B"}), 2, {"--loss", "1.99872", "endless data"});
  require_failure(scaling({"--loss", "1.5"}), 2, {"--loss", "1.8172", "any model"});
  require_failure(scaling({"--loss", "2", "--compute", "1e21"}), 2, {"--loss", "smaller and a larger"});
  require_failure(scaling({"--parameters", "7B", "--tokens", "1T", "--compute", "1e21"}), 2,
                  {"--compute", "two of the"});
  require_failure(scaling({"--parameters", "1e30"}), 2, {"out of range"});
  require_failure(scaling({"--compute", "3"}), 2, {"--compute", "parameters on"});
  require_failure(scaling({"--fit", "hofmann"}), 2, {"did you mean hoffmann?"});
  require_failure(scaling({"--parameters", "7B", "--mfu", "0.4"}), 2, {"--flop-rate: is missing"});
  require_failure(scaling({"--parameters", "7B", "--mfu", "1.1", "--flop-rate", "1e15"}), 2, {"--mfu", "above 1"});
  require_failure(scaling({"--flop-rate", "1e15", "--mfu", "0.4"}), 2, {"--flop-rate", "needs a model"});
  require_failure(scaling({"--parameters", "7B", "--power-w", "400"}), 2, {"--power-w", "needs a time"});
  require_failure(scaling({"--schedule"}), 2, {"--steps: is missing", "--learning-rate: is missing"});
  require_failure(scaling({"--schedule", "--steps", "9", "--learning-rate", "1", "--warmup-steps", "9"}), 2,
                  {"--warmup-steps"});
  require_failure(scaling({"--steps", "9"}), 2, {"--schedule"});
  require_failure(scaling({"--isoflop", "1e20", "--points", "4"}), 2, {"--points", "odd"});
  require_failure(scaling({"--model", "gpt2-124m", "--parameters", "7B"}), 2, {"--parameters", "beside a model"});
}
