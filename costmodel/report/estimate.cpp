#include "costmodel/report/estimate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "costmodel/graph/graph.hpp"
#include "costmodel/report/phases.hpp"
#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::report {
namespace {

/// Joins the segments' items: layers of several kinds share a name and phase.
std::vector<OperatorRow> operator_rows(const Details& details) {
  struct Joined {
    OperatorRow row;
    Name name;
    Phase phase;
    double longest;
  };
  std::vector<Joined> joined;
  for (const GroupItem& item : details.groups) {
    auto found = std::find_if(joined.begin(), joined.end(), [&](const Joined& j) {
      return j.name == item.group->name && j.phase == item.group->phase;
    });
    if (found == joined.end()) {
      OperatorRow row;
      row.name = text(item.group->name);
      row.phase = name_of_phase(item.group->phase);
      joined.push_back({std::move(row), item.group->name, item.group->phase, -1});
      found = joined.end() - 1;
    }
    OperatorRow& row = found->row;
    const double count = static_cast<double>(item.count), seconds = item.seconds * count;
    row.kernels += item.kernels * item.count;
    row.count += item.count;
    row.flop += Flop(item.flop * count);
    row.read_bytes += item.read_bytes * count;
    row.written_bytes += item.written_bytes * count;
    row.time += Seconds(seconds);
    if (seconds > found->longest) found->longest = seconds, row.bound = name_of_bound(item.bound);
    for (const Name name : item.group->covers)
      if (std::find(row.covers.begin(), row.covers.end(), text(name)) == row.covers.end())
        row.covers.push_back(text(name));
  }
  std::vector<OperatorRow> rows;
  for (Joined& j : joined) rows.push_back(std::move(j.row));
  return rows;
}

std::vector<ActivationRow> activation_rows(const Details& details) {
  std::vector<ActivationRow> rows;
  for (const SavedItem& item : details.saved) {
    const std::string_view suffix = item.tensor->suffix;
    const std::string name = fmt::format("{}{}{}", text(item.tensor->name), suffix.empty() ? "" : ".", suffix);
    auto found = std::find_if(rows.begin(), rows.end(), [&](const ActivationRow& row) {
      return row.tensor == name && row.bytes_per_layer == item.bytes_per_layer;
    });
    if (found == rows.end()) {
      rows.push_back({name, item.bytes_per_layer, Bytes(0), 0});
      found = rows.end() - 1;
    }
    found->layers += item.layers;
    found->saved_bytes += item.bytes_per_layer * item.layers;
  }
  return rows;
}

std::string_view peak_in_words(const Totals& totals, const Structure& structure) {
  const int kinds = static_cast<int>(structure.blocks.size());
  if (totals.peak.segment == 0) return totals.peak.backward ? "backward pass of the embedding" : "embedding";
  if (totals.peak.segment > kinds) return "head and loss";
  return totals.peak.backward ? "backward pass of a block" : "forward pass of a block";
}

/// One change of how the step runs, as overrides.
struct Change {
  AttentionKernel attention;
  Recompute recompute;
  Parallel parallel;
  std::vector<std::string> set;
};

/// More recomputation and attention without S x S memory, together; or, on a cluster, another layout: a ZeRO stage, or
/// tensor or pipeline ranks taken from the data ranks.
std::vector<Change> changes_of(const Scenario& scenario) {
  const Training& now = scenario.training;
  const AttentionKernel attention_now = choices_of(scenario, Work::training).attention;
  std::vector<Change> changes;
  for (const AttentionKernel attention : {attention_now, AttentionKernel::flash})
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      if (recompute < now.recompute) continue;
      Change change{attention, recompute, now.parallel, {}};
      if (attention != attention_now) change.set.push_back(fmt::format("attention={}", name_of(attention)));
      if (recompute != now.recompute) change.set.push_back(fmt::format("training.recompute={}", name_of(recompute)));
      changes.push_back(std::move(change));
    }
  const auto layout = [&](std::string_view key, std::int64_t Parallel::*member, std::int64_t value) {
    Change change{attention_now, now.recompute, now.parallel, {fmt::format("training.parallel.{}={}", key, value)}};
    change.parallel.*member = value;
    changes.push_back(std::move(change));
  };
  const std::int64_t data = data_parallel(scenario);
  if (data * now.parallel.context > 1)
    for (std::int64_t zero = now.parallel.zero + 1; zero <= 3; ++zero) layout("zero", &Parallel::zero, zero);
  for (std::int64_t ways = 2; ways <= data; ways *= 2) {
    if (now.parallel.tensor * ways <= scenario.cluster.devices_per_node)
      layout("tensor", &Parallel::tensor, now.parallel.tensor * ways);
    layout("pipeline", &Parallel::pipeline, now.parallel.pipeline * ways);
  }
  return changes;
}

/// For each change the largest micro-batch that fits.
std::vector<WayOut> find_ways_out(const Scenario& scenario) {
  std::vector<WayOut> found;
  const Training& now = scenario.training;
  for (Change& change : changes_of(scenario)) {
    Scenario changed = scenario;
    changed.attention = change.attention;
    changed.training.recompute = change.recompute;
    changed.training.parallel = change.parallel;
    for (std::int64_t batch = now.micro_batch; batch >= 1; --batch) {
      if (now.global_batch % batch != 0) continue;
      changed.training.micro_batch = batch;
      std::vector<Error> errors;
      check(changed, {}, errors);
      if (!errors.empty()) continue;
      const Totals totals = evaluate(changed, Work::training);
      if (totals.total > scenario.hardware.memory) continue;
      if (batch != now.micro_batch) {
        change.set.push_back(fmt::format("training.micro_batch={}", batch));
        change.set.push_back(fmt::format("training.global_batch={}", now.global_batch));
      }
      // A further change that changes nothing (selective recomputation of flash attention) is no further way.
      const bool known = std::any_of(found.begin(), found.end(),
                                     [&](const WayOut& w) { return w.total == totals.total && w.step == totals.step; });
      if (!known) found.push_back({change.set, totals.total, totals.step});
      break;
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const WayOut& a, const WayOut& b) { return a.step < b.step; });
  return found;
}

}  // namespace

std::string_view origin_of(const Scenario& scenario) {
  return name_of(scenario.hardware.products.empty() ? scenario.hardware.origin : Origin::calibrated);
}

Estimate estimate(const Scenario& scenario) {
  Estimate e;
  e.scenario = scenario;
  Details details, serving;
  if (scenario.has_inference) e.serving = serving_of(scenario, serving);
  if (scenario.has_training)
    e.totals = evaluate(e.scenario, Work::training, &details);
  else
    e.totals = e.serving->prefill_totals, details = std::move(serving);
  e.activations = activation_rows(details);
  e.operators = operator_rows(details);
  e.stages = std::move(details.stages);
  e.chunks = scenario.training.parallel.virtual_stages;
  e.peak = peak_in_words(
      e.totals, cached_structure(choices_of(scenario, scenario.has_training ? Work::training : Work::prefill)));
  e.total = scenario.has_training ? e.totals.total : e.serving->total;
  e.fits = e.total <= scenario.hardware.memory;
  if (!e.fits && scenario.has_training) e.ways_out = find_ways_out(scenario);
  return e;
}

}  // namespace dtcalc::report
