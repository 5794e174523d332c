#include "costmodel/report/estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "costmodel/graph/graph.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::report {
namespace {

std::string_view name_of_phase(Phase phase) {
  static constexpr std::array<std::string_view, 4> names{"forward", "recompute", "backward", "optimizer"};
  return names.at(static_cast<std::size_t>(phase));
}

std::string_view name_of_bound(Bound bound) {
  static constexpr std::array<std::string_view, 4> names{"compute", "memory", "measured", "communication"};
  return names.at(static_cast<std::size_t>(bound));
}

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

Prefill prefill_of(const Scenario& scenario) {
  Prefill p;
  Details details;
  p.totals = evaluate(scenario, false, &details);
  p.prefill = p.totals.step;
  const Model& m = scenario.model;
  const Inference& i = scenario.inference;
  const std::int64_t half = half_bytes(i.precision);
  p.kv_cache_bytes_per_token = Bytes(2 * m.layers * m.kv_heads * m.head_size * half / 2);
  // A local layer keeps no more than its window.
  const std::int64_t tokens = i.prompt_tokens + i.new_tokens;
  std::int64_t kept = 0;
  for (std::int64_t layer = 0; layer < m.layers; ++layer)
    kept += is_local(m, layer) ? std::min(tokens, m.sliding_window) : tokens;
  p.kv_cache = Bytes(2 * i.batch * kept * m.kv_heads * m.head_size * half / 2);
  p.total = p.totals.total + p.kv_cache;
  double bytes = 0;
  for (const OperatorRow& row : operator_rows(details)) bytes += row.read_bytes + row.written_bytes;
  if (bytes > 0) p.intensity_flop_per_byte = p.totals.hardware_flop.value() / bytes;
  return p;
}

/// More recomputation, attention without S x S memory, and for each the largest micro-batch that fits.
std::vector<WayOut> find_ways_out(const Scenario& scenario) {
  std::vector<WayOut> found;
  const Training& now = scenario.training;
  const AttentionKernel attention_now = choices_of(scenario, true).attention;
  for (const AttentionKernel attention : {attention_now, AttentionKernel::flash})
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      if (recompute < now.recompute) continue;
      Scenario changed = scenario;
      changed.attention = attention;
      changed.training.recompute = recompute;
      std::vector<std::string> set;
      if (attention != attention_now) set.push_back(fmt::format("attention={}", name_of(attention)));
      if (recompute != now.recompute) set.push_back(fmt::format("training.recompute={}", name_of(recompute)));
      for (std::int64_t batch = now.micro_batch; batch >= 1; --batch) {
        if (now.global_batch % batch != 0) continue;
        changed.training.micro_batch = batch;
        const Totals totals = evaluate(changed, true);
        if (totals.total > scenario.hardware.memory) continue;
        if (batch != now.micro_batch) {
          set.push_back(fmt::format("training.micro_batch={}", batch));
          set.push_back(fmt::format("training.global_batch={}", now.global_batch));
        }
        // A further change that changes nothing (selective recomputation of flash attention) is no further way.
        const bool known = std::any_of(found.begin(), found.end(), [&](const WayOut& w) {
          return w.total == totals.total && w.step == totals.step;
        });
        if (!known) found.push_back({set, totals.total, totals.step});
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
  if (scenario.has_inference) e.prefill = prefill_of(scenario);
  Details details;
  e.totals = evaluate(e.scenario, scenario.has_training, &details);
  e.activations = activation_rows(details);
  e.operators = operator_rows(details);
  e.stages = std::move(details.stages);
  e.chunks = scenario.training.parallel.virtual_stages;
  e.peak = peak_in_words(e.totals, cached_structure(choices_of(scenario, scenario.has_training)));
  e.total = scenario.has_training ? e.totals.total : e.prefill->total;
  e.fits = e.total <= scenario.hardware.memory;
  if (!e.fits && scenario.has_training) e.ways_out = find_ways_out(scenario);
  return e;
}

}  // namespace dtcalc::report
