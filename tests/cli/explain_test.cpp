// `dtcalc explain`: both readings of every quantity, and every formula of the registry.
#include <cmath>
#include <sstream>

#include "cli/program.hpp"

using namespace dtcalc::test;
using nlohmann::json;

TEST_CASE("a quantity is the sum of its summands and the estimate's figure", "[cli]") {
  const json e = dtcalc_json(on_gpt2("estimate"));
  const std::pair<const char*, const char*> quantities[] = {{"parameters", "/model/parameters"},
                                                            {"parameters_bytes", "/memory/parameters_bytes"},
                                                            {"gradients_bytes", "/memory/gradients_bytes"},
                                                            {"optimizer_bytes", "/memory/optimizer_bytes"},
                                                            {"activations_bytes", "/memory/activations_bytes"},
                                                            {"logits_bytes", "/memory/logits_bytes"},
                                                            {"total_bytes", "/memory/total_bytes"},
                                                            {"forward_flop", "/flops/forward_flop"},
                                                            {"backward_flop", "/flops/backward_flop"},
                                                            {"model_flop", "/flops/model_flop"},
                                                            {"hardware_flop", "/flops/hardware_flop"},
                                                            {"step_s", "/time/step_s"},
                                                            {"mfu", "/time/mfu"},
                                                            {"hfu", "/time/hfu"},
                                                            {"tokens_per_s", "/time/tokens_per_s"}};
  for (const auto& [id, pointer] : quantities) {
    CAPTURE(id);
    const json explained = dtcalc_json(on_gpt2("explain", {id}));
    const double value = explained.at("value");
    CHECK(value == e.at(json::json_pointer(pointer)).get<double>());
    double sum = 0;
    for (const json& summand : explained.at("graph")) sum += summand.at("value").get<double>();
    CHECK(std::abs(sum - value) <= 1e-12 * value);
    CHECK_FALSE(explained.at("closed_forms").empty());
    for (const json& form : explained.at("closed_forms"))
      if (form.at("difference").get<double>() != 0 && std::abs(form["difference"].get<double>()) > 1e-9 * value)
        CHECK_FALSE(form.at("why").empty());
  }
}

TEST_CASE("the two readings agree where the notes are exact", "[cli]") {
  const json flop = dtcalc_json(on_gpt2("explain", {"model_flop"}));
  bool found = false;
  for (const json& form : flop.at("closed_forms"))
    if (form["title"] == "(4.2) and the head") {
      found = true;
      CHECK(form["difference"] == 0.0);
    }
  CHECK(found);
  for (const char* id : {"parameters_bytes", "gradients_bytes", "optimizer_bytes", "logits_bytes"}) {
    CAPTURE(id);
    CHECK(dtcalc_json(on_gpt2("explain", {id}))["closed_forms"][0]["difference"] == 0.0);
  }
}

TEST_CASE("every formula of the registry can be explained", "[cli]") {
  for (const json& known : dtcalc_json({"explain"})) {
    const std::string id = known["id"];
    CAPTURE(id);
    std::vector<std::string> arguments = on_gpt2("explain", {id});
    if (id.starts_with("inference.")) arguments.insert(arguments.end(), {"--set", "inference.batch=2"});
    const json explained = dtcalc_json(arguments);
    CHECK(explained["id"] == id);
    const json& form = explained["closed_forms"][0];
    CHECK_FALSE(form["formula"].get<std::string>().empty());
    if (!form.contains("value")) CHECK(form.contains("missing") != form.contains("why"));  // why: not finite
  }
}

TEST_CASE("formulas by equation, with inputs from the command line", "[cli]") {
  const ProcessResult text = run_dtcalc(on_gpt2("explain", {"3.7"}));
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("(3.7)"));
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("2*1*768*12*1024*(2*(4+4)+1)+12*1*12*1024^2*(2*2+1)"));
  CHECK(dtcalc_json({"explain", "3.1"}).size() == 2);
  const json speedup =
      dtcalc_json({"explain", "spec_speedup", "--with", "alpha=0.5", "--with", "gamma=1", "--with", "c=0.25"});
  CHECK(speedup["closed_forms"][0]["value"] == 1.2);  // 1.5 tokens for 1.25 passes
  const json missing = dtcalc_json({"explain", "spec_speedup"});
  CHECK(missing["closed_forms"][0]["missing"] == json({"alpha", "gamma", "c"}));
}

TEST_CASE("explain --list shows the equations with their functions, or why there is none", "[cli]") {
  const ProcessResult text = run_dtcalc({"explain", "--list"});
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("eq_E_9_t_min"));
  bool derived = false;
  for (const json& row : dtcalc_json({"explain", "--list"})) {
    CHECK((!row["functions"].empty() || !row["remark"].get<std::string>().empty()));
    if (row["equation"] == "E.2") derived = row["functions"].empty();
  }
  CHECK(derived);
}

TEST_CASE("explain's lists and explanations fit a terminal", "[cli]") {
  const std::string dpo = std::string(DTCALC_SOURCE_DIR) + "/presets/scenarios/dpo.json";
  const std::pair<std::vector<std::string>, std::size_t> outputs[] = {
      {{"explain"}, 80}, {{"explain", "--list"}, 80}, {{"explain", "model_flop", dpo}, 120}};
  for (const auto& [arguments, columns] : outputs) {
    CAPTURE(arguments.back());
    std::istringstream lines(run_dtcalc(arguments).output);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= columns + 3);  // a few of its letters take two bytes
    }
  }
}

TEST_CASE("explain speaks of each model of a step, and of the step's own closed form", "[cli]") {
  const std::string dpo = std::string(DTCALC_SOURCE_DIR) + "/presets/scenarios/dpo.json";
  const json flop = dtcalc_json({"explain", "model_flop", dpo});
  bool of_policy = false, of_step = false;
  for (const json& form : flop["closed_forms"]) {
    if (form.contains("tower")) of_policy = of_policy || form["tower"] == "policy";
    if (form.value("id", "") != "dpo_flops") continue;
    of_step = true;
    CHECK(form["graph"] == flop["value"]);
    // 16 N a token pair leaves the S x S products out, and counts the embedding's rows: a few percent of Llama 3 8B.
    CHECK(std::abs(form["difference"].get<double>()) < 0.05 * flop["value"].get<double>());
  }
  CHECK(of_policy);
  CHECK(of_step);
}

TEST_CASE("explain refuses what it does not know", "[cli]") {
  require_failure({"explain", "modelflop"}, 2, {"did you mean model_flop?"});
  require_failure({"explain", "total_bytes"}, 2, {"--model"});
  require_failure({"explain", "3.7", "--with", "B"}, 2, {"--with"});
  require_failure({"explain", "3.7", "--with", "B=nan"}, 2, {"--with"});
  require_failure({"explain", "3.7", "--model", "gpt2"}, 2, {"--hardware"});
}

TEST_CASE("formulas take the layout of the scenario", "[cli]") {
  const ProcessResult result =
      run_dtcalc({"explain", "eq_7_12_activations", "--model", "gpt3-175b", "--hardware", "a100-80-sxm", "--set",
                  "cluster.devices_per_node=8", "--set", "training.parallel.tensor=8"});
  INFO(describe(result));
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Matchers::ContainsSubstring("/8"));
  CHECK_THAT(result.output, Catch::Matchers::Matches("[^]*T +8 +tensor-parallel workers[^]*"));
}
