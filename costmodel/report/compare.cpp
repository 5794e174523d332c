#include "costmodel/report/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

/// Numbers of an object by dotted key.
void collect(const ordered_json& object, const std::string& prefix,
             std::vector<std::pair<std::string, double>>& found) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) collect(value, prefix + key + ".", found);
    if (value.is_number()) found.emplace_back(prefix + key, value.get<double>());
  }
}

double total_of(const Estimate& e, std::string_view key) {
  const bool part = key.ends_with("_s") && !key.ends_with("_per_s") && key != "time.training_s";
  if (key.starts_with("time.") && part) return e.totals.step.value();
  if (key.starts_with("memory.")) return static_cast<double>(e.total.value());
  return 0;
}

std::string percent(double a, double b) {
  return a == 0 ? std::string("new") : fmt::format("{:+.1f} %", 100 * (b / a - 1));
}

std::string shown(const std::string& key, double value) {
  if (key.ends_with("_bytes")) return print(Bytes(std::llround(value)), Prefix::automatic, 4);
  if (key.ends_with("_flop")) return print(Flop(value), Prefix::automatic, 4);
  if (key.ends_with("_per_s") || key.find("parameters") != std::string::npos) return fmt::format("{:.5g}", value);
  if (key.ends_with("_s")) return print(Seconds(value), Prefix::automatic, 4);
  return fmt::format("{:.5g}", value);
}

template <class Quantity>
void scale(Quantity& quantity, double factor) {
  quantity = Quantity(quantity.value() * factor);
}

}  // namespace

Comparison compare(const Estimate& a, const Estimate& b) {
  Comparison c{a, b, {}, {}, {}, {}};
  ordered_json one = to_json(a, false), two = to_json(b, false);
  const nlohmann::json before = nlohmann::json(one["scenario"]).flatten(),
                       after = nlohmann::json(two["scenario"]).flatten();
  for (const nlohmann::json* from : {&before, &after})
    for (const auto& [key, value] : from->items()) {
      const bool differs = !before.contains(key) || !after.contains(key) || before[key] != after[key];
      if (differs && std::find(c.keys.begin(), c.keys.end(), key) == c.keys.end()) c.keys.push_back(key);
    }
  for (ordered_json* document : {&one, &two}) document->erase("scenario");
  std::vector<std::pair<std::string, double>> left, right;
  collect(one, "", left);
  collect(two, "", right);
  // A step of several towers has no maxima of its own: nothing to compare, rather than zero.
  const bool comparable = a.towers.empty() == b.towers.empty();
  if (!comparable)
    for (auto* list : {&left, &right})
      std::erase_if(*list, [](const auto& item) { return item.first.starts_with("memory.maxima."); });
  for (const auto& [key, value] : right)
    if (std::none_of(left.begin(), left.end(), [&](const auto& l) { return l.first == key; }))
      left.emplace_back(key, 0);
  for (const auto& [key, value] : left) {
    const auto other = std::find_if(right.begin(), right.end(), [&](const auto& r) { return r.first == key; });
    const double now = other == right.end() ? 0 : other->second;
    if (now == value) continue;
    const double total = total_of(a, key), size = total > 0 ? total : std::abs(value);
    const Difference d{key, value, now, size > 0 ? (now - value) / size : 1};
    (total == 0 ? c.other : key.starts_with("time.") ? c.time : c.memory).push_back(d);
  }
  for (auto* list : {&c.time, &c.memory, &c.other})
    std::stable_sort(list->begin(), list->end(),
                     [](const Difference& x, const Difference& y) { return std::abs(x.share) > std::abs(y.share); });
  return c;
}

std::vector<Sensitivity> sensitivities(const Scenario& scenario) {
  std::vector<Sensitivity> found;
  const auto step = [&](auto&& change, double factor) {
    Scenario s = scenario;
    change(s, factor);
    return evaluate(s, Work::training).step.value();
  };
  const auto add = [&](std::string key, auto&& change) {
    constexpr double by = 1.01;
    const double slope = std::log(step(change, by) / step(change, 1 / by)) / (2 * std::log(by));
    if (slope != 0) found.push_back({std::move(key), slope});
  };
  add("/hardware/compute_flop_per_s", [](Scenario& s, double f) {
    for (ComputeRate& rate : s.hardware.compute) rate.rate = FlopPerSecond(rate.rate.value() * f);
  });
  add("/hardware/memory_bandwidth_bytes_per_s", [](Scenario& s, double f) { scale(s.hardware.memory_bandwidth, f); });
  // The cluster's rates stand above the device's.
  const bool own_links = scenario.cluster.link_bandwidth.value() > 0,
             own_nics = scenario.cluster.nic_bandwidth.value() > 0;
  add(own_links ? "/cluster/link_bytes_per_s" : "/hardware/link_bytes_per_s",
      [](Scenario& s, double f) { scale(s.hardware.link_bandwidth, f), scale(s.cluster.link_bandwidth, f); });
  add(own_nics ? "/cluster/nic_bytes_per_s" : "/hardware/nic_bytes_per_s",
      [](Scenario& s, double f) { scale(s.hardware.nic_bandwidth, f), scale(s.cluster.nic_bandwidth, f); });
  add("/hardware/launch_overhead_s", [](Scenario& s, double f) { scale(s.hardware.launch_overhead, f); });
  std::stable_sort(found.begin(), found.end(),
                   [](const Sensitivity& a, const Sensitivity& b) { return std::abs(a.step) > std::abs(b.step); });
  return found;
}

ordered_json to_json(const Comparison& c) {
  const auto rows = [](const std::vector<Difference>& list) {
    ordered_json array = ordered_json::array();
    for (const Difference& d : list)
      array.push_back({{"key", d.key}, {"a", d.a}, {"b", d.b}, {"difference", d.b - d.a}, {"share", d.share}});
    return array;
  };
  ordered_json document{{"schema", "dtcalc.compare/1"},
                        {"scenario_keys", c.keys},
                        {"time", rows(c.time)},
                        {"memory", rows(c.memory)},
                        {"other", rows(c.other)}};
  for (const auto& [name, e] : {std::pair{"a", &c.a}, std::pair{"b", &c.b}}) {
    if (!e->scenario.has_training) continue;
    for (const Sensitivity& s : sensitivities(e->scenario)) document["sensitivity"][name][s.key] = s.step;
  }
  return document;
}

std::string to_text(const Comparison& c) {
  std::string result;
  const auto table = [&](std::string_view title, const std::vector<Difference>& list) {
    if (list.empty()) return;
    Table t{{{std::string(title)},
             {"A", Align::right},
             {"B", Align::right},
             {"difference", Align::right},
             {"of A's whole", Align::right}},
            {}};
    for (const Difference& d : list)
      t.rows.push_back(
          {d.key, shown(d.key, d.a), shown(d.key, d.b), percent(d.a, d.b), fmt::format("{:+.1f} %", 100 * d.share)});
    result += text(t) + "\n";
  };
  if (c.keys.empty()) return "The two scenarios are equal.\n";
  result += fmt::format("{} keys of the scenario differ: {}\n\n", c.keys.size(), fmt::join(c.keys, ", "));
  table("time", c.time);
  table("memory", c.memory);
  table("other", c.other);
  for (const auto& [name, e] : {std::pair{"A", &c.a}, std::pair{"B", &c.b}}) {
    if (!e->scenario.has_training) continue;
    result += fmt::format("{}: one percent more of a hardware figure changes the step by", name);
    std::string separator = " ";
    for (const Sensitivity& s : sensitivities(e->scenario)) {
      result += fmt::format("{}{:+.2f} % ({})", separator, s.step, s.key.substr(s.key.rfind('/') + 1));
      separator = ", ";
    }
    result += "\n";
  }
  return result;
}

}  // namespace dtcalc::report
