#include "costmodel/report/ways_out.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::report {
namespace {

/// A change of the scenario, all but its micro-batch, and its overrides.
struct Change {
  Scenario scenario;
  std::vector<std::string> set;
};

/// The recomputations that drop no less than the scenario's.
std::vector<Recompute> recomputations(const Scenario& scenario) {
  std::vector<Recompute> more;
  for (const Recompute r : {Recompute::none, Recompute::selective, Recompute::full})
    if (r >= scenario.training.recompute) more.push_back(r);
  return more;
}

Change with_recompute(Change change, Recompute recompute) {
  if (recompute != change.scenario.training.recompute)
    change.set.push_back(fmt::format("training.recompute={}", name_of(recompute)));
  change.scenario.training.recompute = recompute;
  return change;
}

/// More recomputation and attention without S x S memory, together.
std::vector<Change> of_activations(const Scenario& scenario) {
  const AttentionKernel now = choices_of(scenario, Work::training).attention;
  std::vector<Change> changes;
  for (const AttentionKernel attention : {now, AttentionKernel::flash})
    for (const Recompute recompute : recomputations(scenario)) {
      Change change{scenario, {}};
      change.scenario.attention = attention;
      if (attention != now) change.set.push_back(fmt::format("attention={}", name_of(attention)));
      changes.push_back(with_recompute(std::move(change), recompute));
    }
  return changes;
}

/// Other layouts of the same devices, or of more when there is one.
std::vector<Change> of_layout(const Scenario& scenario) {
  std::vector<Change> changes;
  const Parallel& now = scenario.training.parallel;
  const auto add = [&](std::string_view key, std::int64_t Parallel::*member, std::int64_t value) {
    Change change{scenario, {fmt::format("training.parallel.{}={}", key, value)}};
    change.scenario.training.parallel.*member = value;
    changes.push_back(std::move(change));
  };
  const std::int64_t data = data_parallel(scenario);
  if (data * now.context > 1)
    for (std::int64_t zero = now.zero + 1; zero <= 3; ++zero) add("zero", &Parallel::zero, zero);
  for (std::int64_t ways = 2; ways <= data; ways *= 2) {
    if (now.tensor * ways <= scenario.cluster.devices_per_node) add("tensor", &Parallel::tensor, now.tensor * ways);
    add("pipeline", &Parallel::pipeline, now.pipeline * ways);
  }
  constexpr std::int64_t most_added = 8;  // the devices of a DGX
  if (devices(scenario.cluster) == 1)
    for (std::int64_t ways = 2; ways <= most_added; ways *= 2) {
      add("tensor", &Parallel::tensor, ways);
      changes.back().scenario.cluster.devices_per_node = ways;
      changes.back().set.push_back(fmt::format("cluster.devices_per_node={}", ways));
    }
  return changes;
}

/// The change with the largest micro-batch that fits.
std::optional<WayOut> largest_batch(const Change& change, const Scenario& now) {
  const Training& given = now.training;
  Scenario s = change.scenario;
  for (std::int64_t batch = given.micro_batch; batch >= 1; --batch) {
    if (given.global_batch % batch != 0) continue;
    s.training.micro_batch = batch;
    std::vector<Error> errors;
    check(s, {}, errors);
    if (!errors.empty()) continue;
    const Totals totals = evaluate(s, Work::training);
    if (totals.total > s.hardware.memory) continue;
    WayOut way{change.set, totals.total, totals.step};
    if (batch != given.micro_batch) way.set.push_back(fmt::format("training.micro_batch={}", batch));
    // A global batch that is not written follows from micro-batch and data ranks.
    if (batch != given.micro_batch || data_parallel(s) != data_parallel(now))
      way.set.push_back(fmt::format("training.global_batch={}", given.global_batch));
    return way;
  }
  return std::nullopt;
}

}  // namespace

std::vector<WayOut> ways_out(const Scenario& scenario, Seconds step) {
  std::vector<WayOut> found;
  const auto add = [&](std::optional<WayOut> way) {
    if (!way) return;
    way->step_ratio = way->step / step;
    // A further change that changes nothing (selective recomputation of flash attention) is no further way.
    const bool known = std::any_of(found.begin(), found.end(),
                                   [&](const WayOut& w) { return w.total == way->total && w.step == way->step; });
    if (!known) found.push_back(std::move(*way));
  };
  for (const Change& change : of_activations(scenario)) add(largest_batch(change, scenario));
  for (const Change& layout : of_layout(scenario)) {
    std::optional<WayOut> fastest;
    for (const Recompute recompute : recomputations(scenario)) {
      std::optional<WayOut> way = largest_batch(with_recompute(layout, recompute), scenario);
      if (way && (!fastest || way->step < fastest->step)) fastest = std::move(way);
    }
    add(std::move(fastest));
  }
  std::stable_sort(found.begin(), found.end(), [](const WayOut& a, const WayOut& b) { return a.step < b.step; });
  return found;
}

}  // namespace dtcalc::report
