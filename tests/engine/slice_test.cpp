// engine/slice: which share of a model a slice is, and that the whole is put together from it without a remainder.
#include "engine/slice.hpp"

#include "costmodel/report/phases.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario loaded(const std::string& model, const std::vector<std::string>& changes) {
  const auto scenario = load_scenario_named(model, "h200", DTCALC_SOURCE_DIR, changes);
  if (!scenario) FAIL(describe(scenario.errors()));
  return *scenario;
}

/// A validation in which every group took `factor` times what was predicted.
Validation as_predicted(const Scenario& s, double factor) {
  Validation v;
  Details details;
  v.predicted = evaluate(s, true, &details);
  for (const GroupItem& item : details.groups) {
    const std::string name(text(item.group->name)), phase(report::name_of_phase(item.group->phase));
    GroupComparison* row = nullptr;
    for (GroupComparison& g : v.groups)
      if (g.name == name && g.phase == phase) row = &g;
    if (!row) row = &v.groups.emplace_back(GroupComparison{name, phase, 0, 0, 0, 0, 0});
    row->predicted_s += item.seconds * static_cast<double>(item.count);
    row->measured_s = factor * row->predicted_s;
  }
  return v;
}

}  // namespace

TEST_CASE("a slice of GPT-3 over eight ranks is one rank's share of two blocks") {
  const Scenario whole = loaded("gpt3-175b", {"cluster.devices_per_node=8", "training.parallel.tensor=8",
                                              "training.global_batch=16", "training.micro_batch=2"});
  const auto slice = slice_of(whole, 2);
  REQUIRE(slice);
  CHECK(slice->model.layers == 2);
  CHECK(slice->model.hidden_size == 12288);
  CHECK(slice->model.heads == 12);
  CHECK(slice->model.kv_heads == 12);
  CHECK(slice->model.head_size == 128);
  CHECK(slice->model.mlp_size == 6144);
  CHECK(slice->model.vocabulary_size == 6283);  // 50257 / 8, rounded up
  CHECK(devices(slice->cluster) == 1);
  CHECK(slice->training.global_batch == 2);
  // An eighth, but for what every rank holds whole: two norms (4 D), the biases of output and down projection (2 D).
  const std::int64_t block = evaluate(*slice, true).parameters_per_layer.value();
  CHECK(8 * block == evaluate(whole, true).parameters_per_layer.value() + 7 * 6 * 12288);

  const Scenario grouped =
      loaded("llama2-70b", {"cluster.devices_per_node=16", "training.parallel.tensor=16", "training.global_batch=1"});
  CHECK(slice_of(grouped, 2)->model.kv_heads == 1);  // eight heads of keys and values are fewer than the ranks
}

TEST_CASE("a slice that cannot be run is refused with the reason") {
  const Scenario whole = loaded(
      "gpt3-175b", {"cluster.devices_per_node=8", "training.parallel.tensor=8", "training.parallel.sequence=true"});
  CHECK_FALSE(slice_of(whole, 2));
  CHECK_FALSE(slice_of(loaded("gpt2-124m", {}), 1));
  CHECK_FALSE(slice_of(loaded("gpt2-124m", {}), 13));
}

TEST_CASE(
    "the whole from a slice that takes what was predicted is the prediction, at twice the time twice its groups") {
  for (const std::vector<std::string>& changes : {std::vector<std::string>{},
                                                  {"cluster.devices_per_node=4", "training.parallel.tensor=4"},
                                                  {"cluster.devices_per_node=8", "training.parallel.tensor=4",
                                                   "training.parallel.pipeline=2", "training.global_batch=8"}}) {
    const Scenario whole = loaded("gpt2-124m", changes);
    const auto slice = slice_of(whole, 3);
    REQUIRE(slice);
    const WholeFromSlice same = whole_from_slice(whole, as_predicted(*slice, 1), 3);
    CHECK(same.step_s == Approx(same.predicted_s).epsilon(1e-12));
    CHECK(same.compute_s + same.communication_s + same.other_s == Approx(same.step_s).epsilon(1e-12));
    CHECK((same.communication_s > 0) == (changes.size() > 0));
    const WholeFromSlice slow = whole_from_slice(whole, as_predicted(*slice, 2), 3);
    CHECK(slow.compute_s == Approx(2 * same.compute_s).epsilon(1e-12));
    CHECK(slow.communication_s == same.communication_s);
  }
}
