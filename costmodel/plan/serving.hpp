// The smallest replica that serves within a time per output token: tensor-parallel widths from one device upwards, each
// with the largest batch that fits and is in time. Called by `dtcalc plan --tpot`. Pipelines in serving are not
// modelled.
#pragma once

#include <optional>
#include <vector>

#include "costmodel/evaluate/serving.hpp"

namespace dtcalc {

struct ReplicaTry {
  Cluster cluster;
  std::int64_t tensor = 1;
  std::int64_t fitting_batch = 0;  ///< most sequences that fit; 0: not even one
  std::int64_t batch = 0;          ///< most of them within the time per token; one more misses it or does not fit
  Seconds tpot{0}, ttft{0};        ///< at `batch`; at one sequence when `batch` is 0
  TokensPerSecond throughput{0};   ///< of the replica at `batch`
  Bytes total{0};                  ///< per device at `batch`
  bool meets = false;              ///< `batch` is at least the scenario's
};

struct ReplicaSearch {
  std::vector<ReplicaTry> tried;               ///< every width that the model and the links allow, by T
  std::optional<std::size_t> smallest;         ///< the first that meets
  std::optional<std::size_t> best_per_device;  ///< of those that meet, most tokens per second and device
};

/// T up to `most_devices` and 32 that load_scenario accepts, on nodes like those of `scenario.cluster`.
/// `scenario.inference.batch` is the least batch that counts.
ReplicaSearch search_replicas(const Scenario& scenario, Seconds tpot, std::int64_t most_devices);

}  // namespace dtcalc
