// The plan for the lowest loss; see report.hpp.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/laws/scaling.hpp"
#include "costmodel/laws/words.hpp"
#include "costmodel/plan/report.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> set_of(const Scenario& s, const LossCandidate& c) {
  const Model& m = c.model;
  std::vector<std::string> set{fmt::format("model.layers={}", m.layers),
                               fmt::format("model.hidden_size={}", m.hidden_size),
                               fmt::format("model.heads={}", m.heads),
                               fmt::format("model.kv_heads={}", m.kv_heads),
                               fmt::format("model.head_size={}", m.head_size),
                               fmt::format("model.mlp_size={}", m.mlp_size),
                               fmt::format("cluster.nodes={}", s.cluster.nodes),
                               fmt::format("cluster.devices_per_node={}", s.cluster.devices_per_node),
                               fmt::format("training.global_batch={}", c.global_batch),
                               fmt::format("training.steps={:.0f}", c.steps)};
  const std::vector<std::string> layout = overrides(c.layout);
  set.insert(set.end(), layout.begin(), layout.end());
  return set;
}

double batch_tokens(const Scenario& s, const LossCandidate& c) {
  return static_cast<double>(c.global_batch * s.training.sequence);
}

/// What the law alone would do with the FLOPs of the best candidate.
laws::Allocation by_law_alone(const LossGoal& goal, const LossCandidate& c) {
  return laws::optimum(goal.fit.fit,
                       laws::compute_of({static_cast<double>(c.parameters.value()), c.tokens, c.at.loss}));
}

std::string origin_of_batch(const LossGoal& goal) {
  return goal.critical_tokens ? fmt::format("B_crit = {} tokens, as given", laws::count_text(*goal.critical_tokens))
                              : "B_crit = 2.1e8 tokens / L^(1/0.21) at the final loss (Kaplan et al. 2020)";
}

}  // namespace

ordered_json to_json(const Scenario& s, const LossGoal& goal, const LossPlan& plan) {
  ordered_json document;
  document["schema"] = "dtcalc.plan/1";
  document["scenario"] = ordered_json(to_json(s));
  document["goal"] = {{"objective", "loss"}, {"deadline_s", goal.deadline.value()}, {"fit", goal.fit.name}};
  if (goal.critical_tokens) document["goal"]["critical_batch_tokens"] = *goal.critical_tokens;
  document["pairs"] = plan.pairs;
  document["skipped"] = plan.skipped;
  document["layouts"] = plan.layouts;
  document["search_s"] = plan.seconds;
  document["stopped"] = plan.stopped;
  document["best"] = ordered_json::array();
  for (const LossCandidate& c : plan.best) {
    ordered_json row{{"loss_nat", c.at.loss},
                     {"parameters", c.parameters.value()},
                     {"layers", c.model.layers},
                     {"hidden_size", c.model.hidden_size},
                     {"heads", c.model.heads},
                     {"global_batch", c.global_batch},
                     {"batch_tokens", batch_tokens(s, c)},
                     {"critical_batch_tokens", c.at.critical_tokens},
                     {"steps", c.steps},
                     {"tokens", c.tokens},
                     {"effective_tokens", c.at.effective_tokens},
                     {"time_s", c.steps * c.layout.totals.step.value()}};
    const ordered_json layout = layout_json(s, c.layout);
    for (const auto& [key, value] : layout.items()) row[key] = value;
    row["set"] = set_of(s, c);
    document["best"].push_back(std::move(row));
  }
  if (!plan.best.empty()) {
    const laws::Allocation alone = by_law_alone(goal, plan.best.front());
    document["law_alone"] = {{"parameters", alone.parameters}, {"tokens", alone.tokens}, {"loss_nat", alone.loss}};
  }
  return document;
}

report::Table to_table(const Scenario& s, const LossPlan& plan) {
  using report::Align;
  report::Table table{{{"loss", Align::right},
                       {"parameters", Align::right},
                       {"L", Align::right},
                       {"D", Align::right},
                       {"tokens", Align::right},
                       {"worth", Align::right},
                       {"batch", Align::right},
                       {"of B_crit", Align::right},
                       {"steps", Align::right},
                       {"step", Align::right},
                       {"MFU", Align::right}},
                      {}};
  for (const LossCandidate& c : plan.best)
    table.rows.push_back({fmt::format("{:.4f}", c.at.loss), laws::count_text(static_cast<double>(c.parameters.value())),
                          std::to_string(c.model.layers), std::to_string(c.model.hidden_size),
                          laws::count_text(c.tokens), fmt::format("{:.1f} %", 100 * c.at.effective_tokens / c.tokens),
                          std::to_string(c.global_batch),
                          fmt::format("{:.3g}", batch_tokens(s, c) / c.at.critical_tokens), laws::count_text(c.steps),
                          print(c.layout.totals.step), fmt::format("{:.1f} %", 100 * c.layout.totals.mfu)});
  return table;
}

std::string to_text(const Scenario& s, const LossGoal& goal, const LossPlan& plan) {
  std::string text = fmt::format("Lowest loss in {} on {} x {}: models shaped like {}, sequences of {} tokens\n",
                                 laws::duration_text(goal.deadline), devices(s.cluster), s.hardware.name, s.model.name,
                                 s.training.sequence);
  text += fmt::format("  loss by {}; at batch B tokens are worth 1/(1 + B/B_crit) of themselves, (E.6);\n  {}\n\n",
                      goal.fit.name, origin_of_batch(goal));
  if (plan.stopped) text += "Stopped: the best so far\n";
  if (plan.best.empty()) return text + "No model fits and takes a step in this time.\n";
  text += report::text(to_table(s, plan), 2);
  std::vector<PlannedLayout> layouts;
  for (const LossCandidate& c : plan.best) layouts.push_back(c.layout);
  text += fmt::format("\nTheir layouts, in the same order\n{}", report::text(layout_table(s, layouts), 2));
  const LossCandidate& best = plan.best.front();
  const laws::Allocation alone = by_law_alone(goal, best);
  text += fmt::format(
      "\nThe law alone splits the same FLOPs into {} parameters and {} tokens, {:.4f} nat.\n"
      "{} pairs of model and batch, {} of them skipped: above these losses even at the devices' peak.\n"
      "The first:\n{}",
      laws::count_text(alone.parameters), laws::count_text(alone.tokens), alone.loss, plan.pairs, plan.skipped,
      estimate_command(set_of(s, best)));
  return text;
}

}  // namespace dtcalc
