// `dtcalc batch`: the errata's example, the scenario's own step time, the estimator, JSON and CSV, broken input.
#include <cmath>

#include "cli/documented.hpp"
#include "cli/program.hpp"

using namespace dtcalc::test;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

std::vector<std::string> batch(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"batch"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("the fastest batch and its time (golden values of App. E)", "[cli]") {
  const json b = dtcalc_json(batch({"--min-steps", "1e4", "--min-examples", "5e7", "--seconds-per-example", "1 ms",
                                    "--seconds-per-step", "0.5", "--batch", "300"}));
  CHECK(b["noise_scale_examples"] == 5000.0);
  CHECK(b["fastest"]["batch_examples"].get<double>() == Approx(1581.1388300841897).epsilon(1e-9));
  CHECK(b["fastest"]["time_s"].get<double>() == Approx(86622.7766016838).epsilon(1e-9));
  CHECK(b["fastest"]["critical_time_s"].get<double>() == Approx(110000).epsilon(1e-9));
  CHECK(b["fastest"]["critical_over_fastest"].get<double>() == Approx(1.2698738636122382).epsilon(1e-9));
  int marked = 0;
  for (const json& row : b["front"]) {
    CHECK(row["examples"].get<double>() == Approx(row["batch_examples"].get<double>() * row["steps"].get<double>()));
    if (row.contains("mark")) ++marked;
  }
  CHECK(marked == 3);
}

TEST_CASE("kappa and sigma come from the scenario's own steps", "[cli]") {
  const json b = dtcalc_json(on_gpt2("batch", {"--noise-scale", "500", "--set", "training.micro_batch=4"}));
  const json& step = b["step"];
  REQUIRE(step["samples"].size() == 4);
  for (const json& sample : step["samples"]) {
    const std::string size = std::to_string(sample["batch_examples"].get<int>());
    const json e =
        dtcalc_json(on_gpt2("estimate", {"--set", "training.micro_batch=4", "--set", "training.global_batch=" + size}));
    CHECK(sample["step_s"].get<double>() == Approx(e["time"]["step_s"].get<double>()));
    CHECK(step["per_example_s"].get<double>() * sample["batch_examples"].get<double>() +
              step["per_step_s"].get<double>() ==
          Approx(sample["step_s"].get<double>()));
  }
  // (E.8): sqrt(sigma B_noise / kappa). Without steps the front is relative, and so are its times.
  CHECK(b["fastest"]["batch_examples"].get<double>() ==
        Approx(std::sqrt(step["per_step_s"].get<double>() * 500 / step["per_example_s"].get<double>())));
  CHECK_FALSE(b.contains("min_steps"));
  CHECK(b["front"][0].contains("steps_over_min"));
  CHECK(b["front"][0].contains("time_over_fastest"));
  CHECK_FALSE(b["front"][0].contains("time_s"));
}

TEST_CASE("a scenario file brings its run: batch and steps", "[cli]") {
  const json b = dtcalc_json(batch({DTCALC_SOURCE_DIR "/presets/scenarios/batch-size.json", "--noise-scale", "1000"}));
  const json scenario = json::parse(read_bytes(DTCALC_SOURCE_DIR "/presets/scenarios/batch-size.json"));
  const double size = scenario["training"]["global_batch"], steps = scenario["training"]["steps"];
  CHECK(b["min_steps"].get<double>() == Approx(steps / (1 + 1000 / size)));
  bool found = false;
  for (const json& row : b["front"])
    if (row.value("mark", "") == "yours") {
      found = true;
      CHECK(row["batch_examples"] == size);
      CHECK(row["steps"].get<double>() == Approx(steps));
    }
  CHECK(found);
}

TEST_CASE("the noise scale from gradient norms, or from the loss by Kaplan's law", "[cli]") {
  // |g|^2 = 2 and Tr Sigma = 64: squares 18 and 6 at batches 4 and 16.
  const std::string at_4 = "4.242640687119285", at_16 = "2.449489742783178";
  const json b = dtcalc_json(batch({"--small-batch", "4", "--small-norm", at_4 + "," + at_4, "--big-batch", "16",
                                    "--big-norm", at_16, "--batch", "32", "--learning-rate", "1e-3"}));
  CHECK(b["gradient_squared"].get<double>() == Approx(2));
  CHECK(b["trace_sigma"].get<double>() == Approx(64));
  CHECK(b["noise_scale_examples"].get<double>() == Approx(32));
  for (const json& row : b["front"])
    if (row["batch_examples"] == 32.0) CHECK(row["learning_rate"].get<double>() == Approx(1e-3));
  CHECK(b["front"][0].contains("loss_drop_nat"));
  const json kaplan = dtcalc_json(batch({"--loss", "2", "--sequence", "2048"}));
  CHECK(kaplan["noise_scale_examples"].get<double>() == Approx(2.1e8 / std::pow(2, 1 / 0.21) / 2048));
  const json own = dtcalc_json(on_gpt2("batch", {"--loss", "2"}));
  CHECK(own["noise_scale_examples"].get<double>() == Approx(2 * kaplan["noise_scale_examples"].get<double>()));
}

TEST_CASE("the front as CSV, marked in the text", "[cli]") {
  const std::vector<std::string> given{"--noise-scale", "512", "--batch", "100", "--steps", "4000"};
  CHECK(run_dtcalc(batch({"--noise-scale", "512", "--csv"})).output.substr(0, 59) ==
        "batch_examples,alpha,steps_over_min,examples_over_min,mark\n");
  const ProcessResult text = run_dtcalc(batch(given));
  CHECK_THAT(text.output, ContainsSubstring("  critical\n"));
  CHECK_THAT(text.output, ContainsSubstring("  yours\n"));
}

TEST_CASE("docs/json.md explains every key of batch", "[cli]") {
  check_documented(
      dtcalc_json(on_gpt2("batch", {"--small-batch", "4", "--small-norm", "3", "--big-batch", "16", "--big-norm", "2",
                                    "--batch", "1", "--steps", "1000", "--learning-rate", "1e-3"})));
  check_documented(dtcalc_json(on_gpt2("batch", {"--noise-scale", "100"})));
}

TEST_CASE("batch refuses what cannot be, and says why", "[cli]") {
  for (const char* option : {"--noise-scale", "--loss", "--min-steps", "--min-examples", "--batch", "--steps",
                             "--small-batch", "--seconds-per-example", "--learning-rate"})
    for (const char* value : {"0", "-1", "nan", "inf", "1e999", "x"}) {
      CAPTURE(option, value);
      require_failure(batch({std::string(option) + "=" + value}), 2, {"--"});
    }
  require_failure(batch({"--noise-scale", "nan"}), 2, {"--noise-scale", "not a number"});
  require_failure(batch({}), 2, {"noise scale: is missing", "--small-norm"});
  require_failure(batch({"--noise-scale", "10", "--loss", "3"}), 2, {"more than one way"});
  require_failure(batch({"--loss", "3"}), 2, {"--sequence: is missing"});
  require_failure(batch({"--small-batch", "4", "--small-norm", "1"}), 2, {"--big-batch: is missing", "--big-norm"});
  require_failure(batch({"--small-batch", "4", "--small-norm", "1", "--big-batch", "8", "--big-norm", "2"}), 2,
                  {"do not fall", "average over more"});
  require_failure(batch({"--small-batch", "8", "--small-norm", "1", "--big-batch", "4", "--big-norm", "1"}), 2,
                  {"smaller and a larger"});
  require_failure(batch({"--noise-scale", "10", "--seconds-per-step", "1"}), 2, {"--seconds-per-example: is missing"});
  require_failure(batch({"--noise-scale", "10", "--steps", "5"}), 2, {"--batch: is missing"});
  require_failure(batch({"--noise-scale", "10", "--batch", "4", "--steps", "5", "--min-steps", "2"}), 2,
                  {"same twice"});
  require_failure(batch({"--noise-scale", "10", "--learning-rate", "1"}), 2, {"give that batch"});
  require_failure(batch({"--noise-scale", "10", "--sequence", "9"}), 2, {"--sequence", "--loss"});
  require_failure(batch({"--noise-scale", "10", "--model", "gpt2-124m"}), 2, {"--hardware: is missing"});
}
