#include "costmodel/plan/serving.hpp"

#include <algorithm>

#include "costmodel/plan/cluster.hpp"
#include "costmodel/scenario/check.hpp"

namespace dtcalc {
namespace {

/// Most sequences up to `most` whose step is in time, found by halving: one more is not, or is more than `most`.
std::int64_t largest_in_time(Scenario scenario, Seconds tpot, std::int64_t most) {
  const auto in_time = [&](std::int64_t batch) {
    scenario.inference.batch = batch;
    return decode_step_of(scenario) <= tpot;
  };
  if (most == 0 || !in_time(1)) return 0;
  if (in_time(most)) return most;
  std::int64_t low = 1, high = most;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (in_time(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

ReplicaSearch search_replicas(const Scenario& scenario, Seconds tpot, std::int64_t most_devices) {
  ReplicaSearch result;
  const std::int64_t least_batch = scenario.inference.batch, node = scenario.cluster.devices_per_node;
  for (const std::int64_t tensor :
       divisors(scenario.model.heads, std::min(most_devices, SearchOptions{}.most_tensor))) {
    if (tensor > node && tensor % node != 0) continue;
    Scenario s = scenario;
    s.has_training = false;
    s.inference.tensor = tensor;
    s.cluster = with_devices(scenario.cluster, tensor);
    s.inference.batch = 1;
    std::vector<Error> errors;
    check(s, {}, errors);
    if (!errors.empty()) continue;
    ReplicaTry t;
    t.cluster = s.cluster, t.tensor = tensor;
    t.fitting_batch = largest_batch(s);
    t.batch = largest_in_time(s, tpot, t.fitting_batch);
    s.inference.batch = std::max<std::int64_t>(1, t.batch);
    t.tpot = decode_step_of(s);
    t.ttft = evaluate(s, Work::prefill).step;
    t.throughput = Tokens(t.batch) / t.tpot;
    t.total = serving_bytes(s);
    t.meets = t.batch >= least_batch;
    const std::size_t index = result.tried.size();
    const auto per_device = [](const ReplicaTry& r) { return r.throughput / static_cast<double>(r.tensor); };
    if (t.meets && !result.smallest) result.smallest = index;
    if (t.meets && (!result.best_per_device || per_device(t) > per_device(result.tried[*result.best_per_device])))
      result.best_per_device = index;
    result.tried.push_back(std::move(t));
  }
  return result;
}

}  // namespace dtcalc
