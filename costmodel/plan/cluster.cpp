#include "costmodel/plan/cluster.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "costmodel/evaluate/towers.hpp"

namespace dtcalc {
namespace {

/// Products of a number of each set, up to `most`.
std::set<std::int64_t> products(const std::set<std::int64_t>& a, const std::vector<std::int64_t>& b,
                                std::int64_t most) {
  std::set<std::int64_t> result;
  for (const std::int64_t x : a)
    for (const std::int64_t y : b)
      if (y <= most / x) result.insert(x * y);
  return result;
}

}  // namespace

bool linked(const Device& device, const Cluster& cluster) {
  const Fabric fabric = fabric_of(device, cluster);
  return (cluster.devices_per_node == 1 || fabric.link_rate > 0) && (cluster.nodes == 1 || fabric.nic_rate > 0);
}

Cluster with_devices(const Cluster& cluster, std::int64_t devices) {
  Cluster result = cluster;
  result.devices_per_node = std::min(cluster.devices_per_node, devices);
  result.nodes = devices / result.devices_per_node;
  return result;
}

std::vector<std::int64_t> cluster_sizes(const Scenario& scenario, const SearchOptions& options, std::int64_t most) {
  const SearchRanks ranks = search_ranks(scenario, options);
  std::set<std::int64_t> sizes = products({1}, ranks.tensor, most);
  sizes = products(sizes, ranks.context, most);
  sizes = products(sizes, ranks.pipeline, most);
  sizes = products(sizes, divisors(scenario.training.global_batch, most), most);
  const std::int64_t node = scenario.cluster.devices_per_node;
  std::vector<std::int64_t> result;
  for (const std::int64_t n : sizes)
    if ((n < node || n % node == 0) && linked(scenario.hardware, with_devices(scenario.cluster, n)))
      result.push_back(n);
  return result;
}

ClusterSearch search_clusters(const Scenario& scenario, const RunGoal& goal, std::int64_t most_devices,
                              const SearchOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ClusterSearch result;
  result.steps = std::ceil(goal.tokens / static_cast<double>(tokens_of_step(scenario).value()));
  const std::vector<std::int64_t> sizes = cluster_sizes(scenario, options, most_devices);
  SearchOptions each = options;
  double done = 0;
  const double share = 1.0 / static_cast<double>(std::max<std::size_t>(1, sizes.size()));
  if (options.progress) each.progress = [&](double part) { options.progress(done + part * share); };
  Scenario sized = scenario;
  for (const std::int64_t devices : sizes) {
    ClusterTry attempt;
    attempt.cluster = sized.cluster = with_devices(scenario.cluster, devices);
    SearchResult layouts = search_layouts(sized, each);
    done += share;
    result.stopped = layouts.stopped;
    if (layouts.stopped) break;
    if (layouts.layouts == 0) continue;
    attempt.layouts = layouts.layouts, attempt.fitting = layouts.fitting;
    if (!layouts.best.empty()) {
      attempt.best = layouts.best.front();
      attempt.cost =
          laws::run_cost(result.steps * layouts.best.front().totals.step, static_cast<double>(devices), goal.prices);
      const bool in_time = !goal.deadline || attempt.cost.time <= *goal.deadline;
      const bool in_budget = !goal.budget_usd || *attempt.cost.rent_usd <= *goal.budget_usd;
      attempt.meets = in_time && in_budget;
    }
    result.met = attempt.meets;
    result.best = std::move(layouts.best);
    result.tried.push_back(std::move(attempt));
    if (result.met) break;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace dtcalc
