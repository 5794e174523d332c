#include "costmodel/report/estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/graph/graph.hpp"
#include "costmodel/report/phases.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::report {
namespace {

/// Joins the segments' items: layers of several kinds share a name and phase.
std::vector<OperatorRow> operator_rows(const Details& details) {
  struct Joined {
    OperatorRow row;
    Name name;
    Phase phase;
    int tower;
    double longest;
  };
  std::vector<Joined> joined;
  for (const GroupItem& item : details.groups) {
    auto found = std::find_if(joined.begin(), joined.end(), [&](const Joined& j) {
      return j.name == item.group->name && j.phase == item.group->phase && j.tower == item.tower;
    });
    if (found == joined.end()) {
      OperatorRow row;
      if (!details.towers.empty()) row.tower = details.towers[static_cast<std::size_t>(item.tower)].name;
      row.name = text(item.group->name);
      row.phase = name_of_phase(item.group->phase);
      joined.push_back({std::move(row), item.group->name, item.group->phase, item.tower, -1});
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

/// Both passes of serving are forward passes: the phase says which.
std::vector<OperatorRow> serving_rows(const Details& prefill, const Details& decode) {
  std::vector<OperatorRow> rows = operator_rows(prefill), steps = operator_rows(decode);
  for (OperatorRow& row : rows) row.phase = "prefill";
  for (OperatorRow& row : steps) row.phase = "decode";
  std::move(steps.begin(), steps.end(), std::back_inserter(rows));
  return rows;
}

std::vector<ActivationRow> activation_rows(const Details& details) {
  std::vector<ActivationRow> rows;
  for (const SavedItem& item : details.saved) {
    const std::string_view suffix = item.tensor->suffix;
    const std::string_view tower =
        details.towers.empty() ? "" : details.towers[static_cast<std::size_t>(item.tower)].name;
    const std::string name = fmt::format("{}{}{}", text(item.tensor->name), suffix.empty() ? "" : ".", suffix);
    auto found = std::find_if(rows.begin(), rows.end(), [&](const ActivationRow& row) {
      return row.tensor == name && row.tower == tower && row.bytes_per_layer == item.bytes_per_layer;
    });
    if (found == rows.end()) {
      rows.push_back({tower, name, item.bytes_per_layer, Bytes(0), 0});
      found = rows.end() - 1;
    }
    found->layers += item.layers;
    found->saved_bytes += item.bytes_per_layer * item.layers;
  }
  return rows;
}

std::string_view place_in_words(const Totals& totals, const Structure& structure) {
  const int kinds = static_cast<int>(structure.blocks.size());
  if (totals.peak.segment == 0) return totals.peak.backward ? "backward pass of the embedding" : "embedding";
  if (totals.peak.segment > kinds) return "head and loss";
  return totals.peak.backward ? "backward pass of a block" : "forward pass of a block";
}

/// "backward pass of a block", with its tower when there are several.
std::string peak_in_words(const Scenario& scenario, const Totals& totals) {
  std::string of_tower;
  Choices choices = choices_of(scenario, scenario.has_training ? Work::training : Work::prefill);
  if (has_towers(scenario)) {
    const Tower tower = towers_of(scenario)[static_cast<std::size_t>(totals.peak.tower)];
    choices = choices_of(tower.scenario, tower.work);
    of_tower = fmt::format(" of the {} tower", tower.name);
  }
  return fmt::format("{}{}", place_in_words(totals, cached_structure(choices)), of_tower);
}

}  // namespace

std::string_view origin_of(const Scenario& scenario) {
  return name_of(scenario.hardware.products.empty() ? scenario.hardware.origin : Origin::calibrated);
}

std::vector<OperatorRow> printed_operators(const Estimate& e) {
  std::vector<OperatorRow> rows;
  if (e.scenario.has_training) rows = e.operators;
  rows.insert(rows.end(), e.serving_operators.begin(), e.serving_operators.end());
  return rows;
}

Estimate estimate(const Scenario& scenario) {
  Estimate e;
  e.scenario = scenario;
  Details details, prefill;
  if (scenario.has_inference) {
    Details decode;
    e.serving = serving_of(scenario, prefill, decode);
    e.serving_operators = serving_rows(prefill, decode);
    e.limits = serving_limits(scenario);
    if (scenario.inference.beams > 1) e.beam_search = beam_search_of(scenario, scenario.inference.beams);
    if (scenario.draft)
      if (Result<Speculative> s = speculative_of(scenario, *scenario.draft, scenario.inference.draft.acceptance))
        e.speculative = std::move(s).value();
  }
  if (scenario.has_training)
    e.totals = evaluate(e.scenario, Work::training, &details);
  else
    e.totals = e.serving->prefill_totals, details = std::move(prefill);
  if (scenario.has_training && details.towers.empty()) {
    e.maxima = memory_maxima(scenario, Work::training, e.totals);
    e.least_batch = mixed_precision_least_batch(scenario);
    e.reserved = reserved_memory(scenario, e.totals);
  }
  e.activations = activation_rows(details);
  e.operators = operator_rows(details);
  e.stages = std::move(details.stages);
  e.chunks = scenario.training.parallel.virtual_stages;
  e.towers = std::move(details.towers);
  e.peak = peak_in_words(scenario, e.totals);
  e.total = scenario.has_training ? e.totals.total : e.serving->total;
  e.fits = e.total <= scenario.hardware.memory;
  if (!e.fits && scenario.has_training) e.ways_out = ways_out(scenario, e.totals.step);
  return e;
}

}  // namespace dtcalc::report
