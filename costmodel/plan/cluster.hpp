// The smallest cluster that trains in time or within a budget: cluster sizes from one device upwards, each with the
// best of all its layouts. Called by `dtcalc plan --deadline` and `--budget`.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "costmodel/laws/run_cost.hpp"
#include "costmodel/plan/search.hpp"

namespace dtcalc {

/// Most devices that are looked at when the description has one node: Llama 3's cluster (Grattafiori et al. 2024,
/// arXiv:2407.21783, Sec. 3.3.1) is the largest whose training is documented.
inline constexpr std::int64_t kMostDevices = 16384;

/// The run that a cluster is wanted for.
struct RunGoal {
  double tokens = 0;                 ///< trained on; steps are rounded up
  std::optional<Seconds> deadline;   ///< of the whole run
  std::optional<double> budget_usd;  ///< rent of the devices; needs prices.usd_per_device_hour
  laws::Prices prices;
};

/// One size of the cluster, with its best layout.
struct ClusterTry {
  Cluster cluster;
  std::int64_t layouts = 0, fitting = 0;
  std::optional<PlannedLayout> best;  ///< by step time; none when nothing fits
  laws::RunCost cost;                 ///< of the run; meaningful with `best`
  bool meets = false;                 ///< deadline and budget
};

struct ClusterSearch {
  double steps = 0;
  std::vector<ClusterTry> tried;    ///< sizes that have a valid layout, smallest first; the last one meets the goal
  std::vector<PlannedLayout> best;  ///< of the last one, by step time
  double seconds = 0;               ///< of the search
  bool met = false, stopped = false;
};

/// `cluster` with so many devices: part of one node, or whole nodes. `devices` is at most devices_per_node or a
/// multiple of it.
Cluster with_devices(const Cluster& cluster, std::int64_t devices);

/// Whether the cluster's devices can reach each other: links inside a node of several, a network between nodes.
bool linked(const Device& device, const Cluster& cluster);

/// The numbers of devices up to `most` that some T x context x P x data ranks of the search multiply to, and that are
/// part of a node or whole nodes of `scenario.cluster`; ascending. All other sizes leave no valid layout.
std::vector<std::int64_t> cluster_sizes(const Scenario& scenario, const SearchOptions& options, std::int64_t most);

/// Tries all sizes up to `most_devices` in ascending order until one meets the goal. The nodes and links are those of
/// `scenario.cluster`; its number of nodes does not matter.
ClusterSearch search_clusters(const Scenario& scenario, const RunGoal& goal, std::int64_t most_devices,
                              const SearchOptions& options);

}  // namespace dtcalc
