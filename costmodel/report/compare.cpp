#include "costmodel/report/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "costmodel/report/sensitivity.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 6> kProvenance{"/source", "/sources", "/date", "/notes", "/id", "/name"};

/// Numbers of an object by dotted key.
void collect(const ordered_json& object, const std::string& prefix,
             std::vector<std::pair<std::string, double>>& found) {
  for (const auto& [key, value] : object.items()) {
    if (key == "stage") continue;  // a place: no amount that differs by a share
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

/// Where a profile comes from makes no figure.
bool is_provenance(const std::string& key) {
  return key.find("/sources/") != std::string::npos ||
         std::any_of(kProvenance.begin(), kProvenance.end(), [&](std::string_view end) { return key.ends_with(end); });
}

/// The keys that differ, without sources and dates unless there is nothing else.
std::vector<std::string> named_keys(const std::vector<std::string>& keys) {
  std::vector<std::string> named;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(named), [](const auto& k) { return !is_provenance(k); });
  return named.empty() ? keys : named;
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
  for (const auto& [name, e] : {std::pair{"a", &c.a}, std::pair{"b", &c.b}})
    for (const Sensitivity& s : sensitivities(e->scenario))
      document[s.figure == Followed::step ? "sensitivity" : fmt::format("{}_sensitivity", name_of_followed(s.figure))]
              [name][s.key] = s.slope;
  return document;
}

std::string to_text(const Comparison& c, int columns) {
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
  const std::vector<std::string> named = named_keys(c.keys);
  result +=
      wrapped(fmt::format("{} of the scenario differ{}: {}",
                          c.keys.size() == 1 ? std::string("1 key") : fmt::format("{} keys", c.keys.size()),
                          named.size() < c.keys.size() ? ", but for sources and names" : "", fmt::join(named, ", ")),
              columns, 2) +
      "\n\n";
  table("time", c.time);
  table("memory", c.memory);
  table("other", c.other);
  for (const auto& [name, e] : {std::pair{"A", &c.a}, std::pair{"B", &c.b}})
    result += sensitivity_text(name, sensitivities(e->scenario), columns);
  return result;
}

}  // namespace dtcalc::report
