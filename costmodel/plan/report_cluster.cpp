// The smallest cluster of a run; see report.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/laws/words.hpp"
#include "costmodel/plan/report.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::ordered_json;
using report::Align;

std::string usd(double amount) { return fmt::format("{} USD", laws::count_text(amount)); }

std::string goal_text(const RunGoal& goal) {
  std::vector<std::string> parts;
  if (goal.deadline) parts.push_back(fmt::format("in at most {}", laws::duration_text(*goal.deadline)));
  if (goal.budget_usd)
    parts.push_back(fmt::format("for at most {} at {} per device and hour", usd(*goal.budget_usd),
                                usd(*goal.prices.usd_per_device_hour)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string shape(const Cluster& c) {
  const std::int64_t n = devices(c);
  return fmt::format("{} device{} in {} node{}", n, n == 1 ? "" : "s", c.nodes, c.nodes == 1 ? "" : "s");
}

/// The one that comes nearest when none meets: the fastest, or with a budget alone the cheapest.
const ClusterTry* nearest_try(const RunGoal& goal, const ClusterSearch& search) {
  const ClusterTry* nearest = nullptr;
  const auto figure = [&](const ClusterTry& t) { return goal.deadline ? t.cost.time.value() : *t.cost.rent_usd; };
  for (const ClusterTry& t : search.tried)
    if (t.best && (!nearest || figure(t) < figure(*nearest))) nearest = &t;
  return nearest;
}

}  // namespace

ordered_json to_json(const Scenario& s, const RunGoal& goal, const ClusterSearch& search) {
  ordered_json document;
  Scenario sized = s;
  if (search.met) sized.cluster = search.tried.back().cluster;
  document["schema"] = "dtcalc.plan/1";
  document["scenario"] = ordered_json(to_json(sized));
  ordered_json& wanted = document["goal"] = {{"tokens", goal.tokens}, {"steps", search.steps}};
  if (goal.deadline) wanted["deadline_s"] = goal.deadline->value();
  if (goal.budget_usd) wanted["budget_usd"] = *goal.budget_usd;
  if (goal.prices.usd_per_device_hour) wanted["usd_per_device_hour"] = *goal.prices.usd_per_device_hour;
  document["met"] = search.met;
  document["search_s"] = search.seconds;
  document["stopped"] = search.stopped;
  document["clusters"] = ordered_json::array();
  for (const ClusterTry& t : search.tried) {
    ordered_json row{
        {"devices", devices(t.cluster)}, {"nodes", t.cluster.nodes}, {"devices_per_node", t.cluster.devices_per_node},
        {"layouts", t.layouts},          {"fitting", t.fitting},     {"meets", t.meets}};
    if (t.best) {
      row["step_s"] = t.best->totals.step.value();
      row["mfu"] = t.best->totals.mfu;
      row["time_s"] = t.cost.time.value();
      row["device_hours"] = t.cost.device_hours;
      if (t.cost.rent_usd) row["rent_usd"] = *t.cost.rent_usd;
    }
    document["clusters"].push_back(std::move(row));
  }
  document["best"] = ordered_json::array();
  if (search.met)
    for (const PlannedLayout& l : search.best) {
      ordered_json row = layout_json(sized, l);
      row["set"].push_back(fmt::format("cluster.nodes={}", sized.cluster.nodes));
      row["set"].push_back(fmt::format("cluster.devices_per_node={}", sized.cluster.devices_per_node));
      document["best"].push_back(std::move(row));
    }
  return document;
}

report::Table to_table(const ClusterSearch& search) {
  const bool priced = std::any_of(search.tried.begin(), search.tried.end(),
                                  [](const ClusterTry& t) { return t.cost.rent_usd.has_value(); });
  report::Table table{{{"devices", Align::right},
                       {"nodes", Align::right},
                       {"layouts", Align::right},
                       {"fit", Align::right},
                       {"step", Align::right},
                       {"MFU", Align::right},
                       {"run", Align::right},
                       {"device-hours", Align::right}},
                      {}};
  if (priced) table.columns.push_back({"rent", Align::right});
  table.columns.push_back({""});
  for (const ClusterTry& t : search.tried) {
    std::vector<std::string> row{std::to_string(devices(t.cluster)), std::to_string(t.cluster.nodes),
                                 std::to_string(t.layouts), std::to_string(t.fitting)};
    const std::vector<std::string> figures =
        t.best ? std::vector<std::string>{print(t.best->totals.step), fmt::format("{:.1f} %", 100 * t.best->totals.mfu),
                                          laws::duration_text(t.cost.time), laws::count_text(t.cost.device_hours)}
               : std::vector<std::string>{"-", "-", "-", "-"};
    row.insert(row.end(), figures.begin(), figures.end());
    if (priced) row.push_back(t.cost.rent_usd ? usd(*t.cost.rent_usd) : "-");
    row.emplace_back(t.meets ? "meets it" : t.best ? "" : "nothing fits");
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string to_text(const Scenario& s, const RunGoal& goal, const ClusterSearch& search) {
  std::string text = fmt::format("{} on {}, nodes of {}\n", s.model.name, s.hardware.name, s.cluster.devices_per_node);
  text += fmt::format("{} tokens: {:.0f} steps of {}, {}\n\n", laws::count_text(goal.tokens), search.steps,
                      batch_text(s), goal_text(goal));
  if (search.stopped) text += "Stopped before a size met it\n";
  if (search.met) {
    const ClusterTry& t = search.tried.back();
    text += fmt::format("Smallest cluster  {}: {}", shape(t.cluster), laws::duration_text(t.cost.time));
    if (t.cost.rent_usd) text += fmt::format(", {}", usd(*t.cost.rent_usd));
    Scenario sized = s;
    sized.cluster = t.cluster;
    text += fmt::format("\n{}", report::text(layout_table(sized, search.best), 2));
  } else if (const ClusterTry* t = nearest_try(goal, search)) {
    text += fmt::format("No size meets it; nearest is {}: {}{}\n", shape(t->cluster), laws::duration_text(t->cost.time),
                        t->cost.rent_usd ? fmt::format(", {}", usd(*t->cost.rent_usd)) : "");
  } else {
    text += fmt::format("No size meets it: nothing fits in {}\n", print(s.hardware.memory));
  }
  text += fmt::format("\nSizes with a valid layout, each with its fastest\n{}", report::text(to_table(search), 2));
  if (search.met) {
    const Cluster& cluster = search.tried.back().cluster;
    std::vector<std::string> set{fmt::format("cluster.nodes={}", cluster.nodes),
                                 fmt::format("cluster.devices_per_node={}", cluster.devices_per_node)};
    for (std::string& one : overrides(search.best.front())) set.push_back(std::move(one));
    text += fmt::format("\nThe first:\n{}", estimate_command(set));
  }
  return text;
}

}  // namespace dtcalc
