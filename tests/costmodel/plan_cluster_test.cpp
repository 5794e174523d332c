// The smallest cluster of a run and the smallest replica of a service, held against trying everything.
#include "costmodel/plan/cluster.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "costmodel/plan/serving.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario to_train() {
  Scenario s = training_scenario(divisible_model(), notes_software());
  s.cluster.devices_per_node = 4;
  s.training.micro_batch = 1;
  s.training.global_batch = 48;
  s.hardware.link_bandwidth = BytesPerSecond(300e9);
  s.hardware.nic_bandwidth = BytesPerSecond(25e9);
  return s;
}

/// The fastest step on so many devices; infinite when nothing fits.
double best_step(const Scenario& scenario, std::int64_t n) {
  Scenario s = scenario;
  s.cluster = with_devices(scenario.cluster, n);
  const SearchResult r = search_layouts(s, {});
  return r.best.empty() ? INFINITY : r.best.front().totals.step.value();
}

std::vector<std::int64_t> whole_sizes(std::int64_t node, std::int64_t most) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t n = 1; n <= most; ++n)
    if (n < node || n % node == 0) sizes.push_back(n);
  return sizes;
}

Scenario to_serve() {
  Scenario s = to_train();
  s.has_training = false;
  s.has_inference = true;
  s.inference.prompt_tokens = 40;
  s.inference.new_tokens = 20;
  s.hardware.memory = Bytes(12 << 20);
  return s;
}

}  // namespace

TEST_CASE("the sizes of a cluster leave none out that has a valid layout") {
  const Scenario s = to_train();
  const std::vector<std::int64_t> sizes = cluster_sizes(s, {}, 40);
  for (const std::int64_t n : whole_sizes(4, 40)) {
    Scenario sized = s;
    sized.cluster = with_devices(s.cluster, n);
    CAPTURE(n);
    if (search_layouts(sized, {}).layouts > 0) CHECK(std::find(sizes.begin(), sizes.end(), n) != sizes.end());
  }
  CHECK(std::is_sorted(sizes.begin(), sizes.end()));
  CHECK(std::find(sizes.begin(), sizes.end(), 20) == sizes.end());  // 5 divides nothing
}

TEST_CASE("without a network a cluster is one node") {
  Scenario s = to_train();
  s.hardware.nic_bandwidth = BytesPerSecond(0);
  CHECK(cluster_sizes(s, {}, 64).back() == 4);
  s.hardware.link_bandwidth = BytesPerSecond(0);
  CHECK(cluster_sizes(s, {}, 64) == std::vector<std::int64_t>{1});
}

TEST_CASE("the smallest cluster in time is the first that trying every size finds") {
  const Scenario s = to_train();
  const double one = best_step(s, 1);
  // 1000.5 steps' tokens: steps are whole.
  RunGoal goal{1000.5 * 48 * 64, {}, {}, {}};
  for (const double share : {1.2, 0.6, 0.3, 0.01}) {
    goal.deadline = Seconds(1001 * one * share);
    std::int64_t expected = 0;
    for (const std::int64_t n : whole_sizes(4, 24))
      if (expected == 0 && 1001 * best_step(s, n) <= goal.deadline->value()) expected = n;
    const ClusterSearch found = search_clusters(s, goal, 24, {});
    CAPTURE(share, expected);
    CHECK(found.steps == 1001);
    CHECK(found.met == (expected > 0));
    if (found.met) CHECK(devices(found.tried.back().cluster) == expected);
    for (std::size_t i = 0; i + 1 < found.tried.size(); ++i) CHECK_FALSE(found.tried[i].meets);
  }
}

TEST_CASE("a budget is met by the first size whose rent is within it") {
  Scenario s = to_train();
  s.hardware.memory = Bytes(6 << 20);  // one device does not suffice
  RunGoal goal{1e9, {}, {}, {}};
  goal.prices.usd_per_device_hour = 2;
  goal.budget_usd = 1e9;
  const ClusterSearch rich = search_clusters(s, goal, 48, {});
  REQUIRE(rich.met);
  const ClusterTry& first = rich.tried.back();
  CHECK(std::abs(*first.cost.rent_usd - 2 * static_cast<double>(devices(first.cluster)) * rich.steps *
                                            first.best->totals.step.value() / 3600) <= 1e-12 * *first.cost.rent_usd);
  for (std::size_t i = 0; i + 1 < rich.tried.size(); ++i) CHECK(rich.tried[i].fitting == 0);
  goal.budget_usd = *first.cost.rent_usd / 1000;
  const ClusterSearch poor = search_clusters(s, goal, 48, {});
  CHECK_FALSE(poor.met);
  CHECK(poor.tried.size() > rich.tried.size());
}

TEST_CASE("a search for a cluster that is stopped says so") {
  SearchOptions options;
  int asked = 0;
  options.stop = [&] { return ++asked > 5; };
  RunGoal goal{1e9, Seconds(1e-9), {}, {}};
  const ClusterSearch r = search_clusters(to_train(), goal, 48, options);
  CHECK(r.stopped);
  CHECK_FALSE(r.met);
}

TEST_CASE("a replica's batch is the largest that fits and is in time, and one width after the other is tried") {
  Scenario s = to_serve();
  s.inference.batch = 1;
  const Seconds alone = decode_step_of(s);
  for (const double factor : {0.5, 1.01, 1.3}) {
    const Seconds tpot = factor * alone;
    const ReplicaSearch r = search_replicas(s, tpot, 8);
    std::vector<std::int64_t> widths;
    for (const ReplicaTry& t : r.tried) {
      widths.push_back(t.tensor);
      Scenario one = s;
      one.inference.tensor = t.tensor;
      one.cluster = t.cluster;
      const auto step = [&](std::int64_t batch) {
        one.inference.batch = batch;
        return decode_step_of(one);
      };
      CAPTURE(factor, t.tensor, t.batch, t.fitting_batch);
      CHECK(t.fitting_batch == largest_batch(one));
      if (t.batch > 0) CHECK(step(t.batch) <= tpot);
      if (t.batch > 0) CHECK(t.tpot == step(t.batch));
      if (t.batch < t.fitting_batch) CHECK(step(t.batch + 1) > tpot);
      CHECK(t.meets == (t.batch >= 1));
    }
    CHECK(widths == std::vector<std::int64_t>{1, 2, 4, 8});
    const auto first = std::find_if(r.tried.begin(), r.tried.end(), [](const ReplicaTry& t) { return t.meets; });
    CHECK(r.smallest.has_value() == (first != r.tried.end()));
    if (r.smallest) CHECK(&r.tried[*r.smallest] == &*first);
  }
}

TEST_CASE("a replica must take the scenario's batch") {
  Scenario s = to_serve();
  s.inference.batch = 1;
  const ReplicaSearch any = search_replicas(s, Seconds(1), 8);
  REQUIRE(any.smallest);
  s.inference.batch = any.tried[*any.smallest].batch + 1;
  const ReplicaSearch more = search_replicas(s, Seconds(1), 8);
  REQUIRE(more.smallest);
  CHECK(more.tried[*more.smallest].tensor > any.tried[*any.smallest].tensor);
}
