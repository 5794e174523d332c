// `explain` covers what `estimate` prints, for every method and several models in a step: the graph's sums add up,
// closed forms stand beside them, and the exact ones are equal.
#include "costmodel/report/explain.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::report;
using nlohmann::ordered_json;

namespace {

Scenario checked(const Result<Scenario>& loaded) {
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return *loaded;
}

Scenario preset(const std::string& name, std::vector<std::string> set = {}) {
  const std::filesystem::path data = DTCALC_SOURCE_DIR;
  return checked(load_scenario_file(data / "presets/scenarios" / (name + ".json"), data, set));
}

Scenario named(const std::string& model, std::vector<std::string> set) {
  return checked(load_scenario_named(model, "h100", DTCALC_SOURCE_DIR, set));
}

struct Case {
  const char* name;
  Scenario scenario;
};

/// A step of each method, on one device and cut in every way that it can be.
std::vector<Case> steps() {
  return {{"lora", preset("lora")},
          {"lora of one matrix, in stages",
           preset("lora", {"training.adapter.targets=[\"query\"]", "training.parallel.pipeline=2",
                           "cluster.devices_per_node=4", "training.parallel.tensor=2"})},
          {"lora behind the attention", preset("lora", {"training.adapter.targets=[\"down\"]"})},
          {"qlora", preset("qlora")},
          {"reward", preset("dpo", {"training.method=reward"})},
          {"dpo", preset("dpo")},
          {"dpo with adapters", preset("dpo", {"training.adapter.rank=8", "training.recompute=full"})},
          {"dpo in stages", preset("dpo", {"training.parallel.zero=1", "training.parallel.pipeline=2",
                                           "training.parallel.tensor=2", "training.parallel.sequence=true"})},
          {"ppo", preset("ppo")},
          {"clip", preset("clip")},
          {"vit", preset("vit")},
          {"pre-training", preset("tensor-parallel")},
          {"ring", preset("ring-attention")},
          {"8-bit Adam", named("gpt2-124m", {"training.optimizer=adam8bit"})}};
}

std::vector<Case> services() {
  return {{"falcon", preset("falcon-40b-serving")},
          {"grouped, quantised", named("llama3-8b", {"inference.batch=8", "inference.weights=fp8"})}};
}

Explanation explained(const std::string& id, const Scenario& s) {
  const Result<std::vector<Explanation>> found = explain(id, &s, {});
  INFO(id << " " << describe(found.errors()));
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  return found->front();
}

/// Keys of numbers in a section; lists, flags and places are not figures.
std::vector<std::string> figures(const ordered_json& section, const std::string& prefix) {
  static const std::set<std::string> places{"stage", "mixed_precision_least_batch",
                                            "mixed_precision_least_batch_closed_form"};
  // Maxima over the step, and the searches below, are reported with their own closed forms beside them.
  static const std::set<std::string> apart{"maxima", "limits", "beam_search", "speculative"};
  std::vector<std::string> keys;
  for (const auto& [key, value] : section.items()) {
    if (value.is_number() && places.count(key) == 0) keys.push_back(prefix + key);
    if (value.is_object() && apart.count(key) == 0)
      for (std::string& inner : figures(value, prefix + key + ".")) keys.push_back(std::move(inner));
  }
  return keys;
}

void check_explained(const std::string& id, const Scenario& s, double figure) {
  CAPTURE(id);
  const Explanation e = explained(id, s);
  CHECK(e.value == figure);
  double sum = 0, size = 0;
  for (const Summand& summand : e.summands) sum += summand.value, size += std::abs(summand.value);
  if (!e.summands.empty()) CHECK(std::abs(sum - figure) <= 1e-11 * size);
  CHECK_FALSE(e.title.empty());
  // A tower that only borrows, or a phase without any of it, leaves a figure without forms when it is zero.
  if (figure != 0) CHECK_FALSE(e.closed_forms.empty());
  for (const ClosedForm& form : e.closed_forms) {
    CAPTURE(form.title, form.tower, form.numbers);
    CHECK_FALSE(form.equation.empty());
    CHECK(form.missing.empty());
    REQUIRE(form.figure);
    if (!form.value) {
      CHECK_FALSE(form.why.empty());
      continue;
    }
    CHECK(std::isfinite(*form.value));
    if (!equal(*form.value, *form.figure)) CHECK_FALSE(form.why.empty());
    if (form.equation == "definition") CHECK(std::abs(*form.value - *form.figure) <= 1e-9 * (size + std::abs(figure)));
  }
  for (const Input& input : e.inputs) {
    CAPTURE(input.name);
    CHECK_FALSE(input.meaning.empty());
    CHECK_FALSE(input.origin.empty());
  }
}

/// Whether some form of every model that the figure is about equals the graph.
void check_exact(const std::string& id, const Scenario& s) {
  const Explanation e = explained(id, s);
  std::set<std::string> models, exact;
  for (const ClosedForm& form : e.closed_forms) {
    models.insert(form.tower);
    if (form.value && form.exactness == "exact" && equal(*form.value, *form.figure)) exact.insert(form.tower);
    CAPTURE(id, form.title, form.tower, form.numbers);
    if (form.exactness == "exact" && form.value && !equal(*form.value, *form.figure))
      UNSCOPED_INFO(form.title << ": " << *form.value << " beside " << *form.figure);
  }
  if (e.value == 0.0) return;
  if (models.size() > 1) models.erase(""), exact.erase("");  // of the step as a whole
  CAPTURE(id, e.value.value_or(0));
  CHECK(exact == models);
}

}  // namespace

TEST_CASE("every number that estimate prints of a step can be explained, whatever the method", "[explain]") {
  for (const auto& [name, scenario] : steps()) {
    CAPTURE(name);
    const ordered_json e = to_json(estimate(scenario), false);
    for (const char* section : {"model", "memory", "flops", "communication", "time"})
      for (const std::string& key : figures(e.at(section), ""))
        check_explained(key, scenario, e.at(section).at(key).get<double>());
  }
}

TEST_CASE("every number that estimate prints of a service can be explained", "[explain]") {
  for (const auto& [name, scenario] : services()) {
    CAPTURE(name);
    const ordered_json e = to_json(estimate(scenario), false);
    const auto flat = [](const std::string& key) {
      std::string pointer = "/" + key;
      for (char& c : pointer)
        if (c == '.') c = '/';
      return ordered_json::json_pointer(pointer);
    };
    for (const std::string& key : figures(e.at("inference"), "inference."))
      check_explained(key, scenario, e.at(flat(key)).get<double>());
    for (const std::string& key : figures(e.at("model"), ""))
      check_explained(key, scenario, e.at("model").at(key).get<double>());
    check_exact("parameters", scenario);
    CHECK(explained("total_bytes", scenario).value == e["inference"]["memory"]["total_bytes"].get<double>());
  }
}

TEST_CASE("counts, states and FLOPs of every method have a closed form that equals the graph", "[explain]") {
  for (const auto& [name, scenario] : steps()) {
    CAPTURE(name);
    for (const char* id : {"parameters", "embedding_parameters", "trained_parameters", "parameters_bytes",
                           "gradients_bytes", "optimizer_bytes", "forward_flop", "backward_flop"})
      check_exact(id, scenario);
  }
  for (const auto& [name, scenario] : services()) {
    CAPTURE(name);
    for (const char* id : {"inference.decode_flop", "inference.prefill_flop", "inference.kv_cache_bytes_per_token",
                           "inference.memory.kv_cache_bytes"})
      check_exact(id, scenario);
  }
}

TEST_CASE("a figure is found with and without its section, and refused where there is none", "[explain]") {
  const Scenario dpo = preset("dpo"), falcon = preset("falcon-40b-serving");
  CHECK(explained("memory.total_bytes", dpo).value == explained("total_bytes", dpo).value);
  CHECK(explained("decode_step_s", falcon).id == "inference.decode_step_s");
  const auto refusal = [](const char* id, const Scenario& s) {
    const Result<std::vector<Explanation>> found = explain(id, &s, {});
    REQUIRE_FALSE(found);
    return describe(found.errors());
  };
  CHECK_THAT(refusal("step_s", falcon), Catch::Matchers::ContainsSubstring("inference.decode_step_s"));
  CHECK_THAT(refusal("inference.decode_step_s", dpo), Catch::Matchers::ContainsSubstring("add an inference section"));
}

TEST_CASE("inputs from the command line replace those of every model", "[explain]") {
  const Scenario dpo = preset("dpo");
  const Result<std::vector<Explanation>> found = explain("forward_flop", &dpo, {{"L", 1.0}});
  REQUIRE(found);
  for (const Input& input : found->front().inputs)
    if (input.name.starts_with("L ")) CHECK((input.value == 1 && input.origin == "command line"));
}
