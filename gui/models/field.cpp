#include "gui/models/field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/load.hpp"
#include "gui/models/state.hpp"

namespace dtcalc::gui {
namespace {

using nlohmann::json;

/// Ranges up to this ratio have even steps.
constexpr double kEvenRatio = 200;

void even_stops(const Range& range, bool integer, std::set<double>& stops) {
  const double step = integer ? 1 : (range.maximum - range.minimum) / 100;
  for (int i = 0; range.minimum + i * step <= range.maximum * (1 + 1e-12); ++i)
    stops.insert(std::min(range.maximum, range.minimum + i * step));
}

}  // namespace

std::string label_of(const FieldInfo& field) {
  std::string_view key = field.pointer.substr(1);
  if (const std::size_t slash = key.find('/'); slash != std::string_view::npos) key = key.substr(slash + 1);
  if (key.starts_with("parallel/")) key.remove_prefix(9);
  std::string label(key);
  for (const std::string_view unit : {"_bytes_per_s", "_flop_per_s", "_bytes", "_s", "_hz", "_w"})
    if (!field.unit.empty() && label.ends_with(unit)) {
      label.erase(label.size() - unit.size());
      break;
    }
  std::replace(label.begin(), label.end(), '_', ' ');
  std::replace(label.begin(), label.end(), '/', ' ');
  return label;
}

std::string path_of(std::string_view pointer) {
  std::string path(pointer.substr(1));
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

bool is_set(const Document& document, std::string_view pointer) {
  return document.json->contains(json::json_pointer(std::string(pointer)));
}

std::vector<double> slider_stops(const FieldInfo& field, double present) {
  const Range& r = field.range;
  const bool integer = field.type == FieldType::integer;
  if ((!integer && field.type != FieldType::number) || !std::isfinite(r.minimum) || !std::isfinite(r.maximum))
    return {};
  std::set<double> stops;
  if (integer ? r.maximum - r.minimum <= kEvenRatio : r.minimum >= 0 && r.maximum <= 1 && present >= 0.01) {
    even_stops(r, integer, stops);
  } else if (integer) {
    if (r.minimum <= 0) stops.insert(0);
    for (double power = 1; power <= r.maximum; power *= 2) {
      stops.insert(power);
      if (power >= 2 && power * 1.5 <= r.maximum) stops.insert(power * 1.5);
    }
  } else {
    if (r.minimum <= 0 && !r.open_minimum) stops.insert(0);
    // Nine decades around the present value: a range of 1e21 would leave a slider no resolution.
    const int decade = present > 0 ? static_cast<int>(std::floor(std::log10(present))) : 0;
    for (int d = decade - 4; d <= decade + 4; ++d)
      for (const double digit : {1.0, 1.5, 2.0, 3.0, 5.0, 7.0}) stops.insert(digit * std::pow(10.0, d));
  }
  stops.insert(present);
  std::erase_if(stops, [&](double stop) {
    return stop < r.minimum || stop > r.maximum || (r.open_minimum && stop == r.minimum) ||
           (r.open_maximum && stop == r.maximum);
  });
  return {stops.begin(), stops.end()};
}

std::vector<std::string> overrides_for(const Scenario& now, std::string_view pointer, const json& value) {
  std::vector<std::string> all{fmt::format("{}={}", path_of(pointer), value.dump())};
  const Parallel& layout = now.training.parallel;
  const bool interleaved = layout.schedule == PipelineSchedule::interleaved;
  if (pointer == "/training/parallel/virtual_stages" && value.is_number()) {
    if (const bool chunks = value > 1; chunks != interleaved)
      all.push_back(fmt::format("training.parallel.schedule={}", chunks ? "interleaved" : "1f1b"));
  } else if (pointer == "/training/parallel/schedule") {
    if (const bool chunks = value == "interleaved"; chunks != interleaved)
      all.push_back(fmt::format("training.parallel.virtual_stages={}", chunks ? 2 : 1));
  } else if (pointer == "/inference/draft/model") {
    if (const bool drafts = value != ""; drafts == now.inference.draft.model.empty())
      all.push_back(fmt::format("inference.draft.acceptance={}", drafts ? Questions{}.acceptance : 0));
  }
  return all;
}

std::string refusal_of(const Document& document, std::span<const std::string> overrides) {
  const Result<Scenario> scenario = load_scenario(*document.json, {data_dir(), document.base}, overrides);
  return scenario ? std::string() : describe(scenario.errors().front());
}

}  // namespace dtcalc::gui
