#include "costmodel/published/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::published {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// A row may break many rules at once for one reason (a layout that is not modelled): the first says it. What to write
/// instead is no help here: the row says what was measured.
std::string first_of(const std::vector<Error>& errors) {
  Error first = errors.front();
  first.way_out.clear();
  return describe(first);
}

/// The step's time by group of kernels, bubble, exposed communication by axis, and the device's waiting for the host.
std::vector<std::pair<std::string, double>> parts_of(const ordered_json& estimate) {
  std::map<std::string, double> seconds;
  for (const ordered_json& row : estimate.value("operators", ordered_json::array()))
    if (row.at("bound") != "communication")  // collectives inside a block count by axis below
      seconds[row.at("name").get<std::string>()] += row.at("time_s").get<double>();
  if (const double bubble = estimate.at("time").value("bubble_s", 0.0); bubble > 0) seconds["bubble"] = bubble;
  const ordered_json communication = estimate.value("communication", ordered_json::object());
  for (const char* axis : {"tensor", "context", "data"})
    if (const double exposed = communication.value(fmt::format("{}_exposed_s", axis), 0.0); exposed > 0)
      seconds[fmt::format("communication.{}", axis)] = exposed;
  // Groups hold the gaps between their kernels; the rest of `host_s` is in none of them.
  const double step = estimate.at("time").value("step_s", 0.0);
  double waiting = step;
  for (const auto& [part, s] : seconds) waiting -= s;
  if (waiting > 1e-9 * step) seconds["host"] = waiting;
  return {seconds.begin(), seconds.end()};
}

bool is_speed_of_training(Figure figure) {
  return figure == Figure::step || figure == Figure::tokens || figure == Figure::tokens_per_device ||
         figure == Figure::flop_per_device || figure == Figure::mfu;
}

/// A layout over several devices always communicates. An estimate that counts none has not looked at the layout.
bool ignores_layout(const Scenario& scenario, const ordered_json& estimate) {
  if (devices(scenario.cluster) == 1) return false;
  double sent = 0;
  for (const char* section : {"communication", "inference"}) {
    const ordered_json figures = estimate.value(section, ordered_json::object());
    for (const char* axis : {"tensor", "context", "pipeline", "data"})
      sent += figures.value(fmt::format("{}_bytes", axis), 0.0);
  }
  return sent == 0;
}

ComparedRow compare_row(const Family& family, const Row& row, const Folders& folders,
                        std::span<const std::string> overrides) {
  ComparedRow result{row.id, row.trust, row.note, {}, true, {}, 0};
  for (const Measured& m : row.measured) result.figures.push_back({m.figure, m.value, 0, ""});
  const auto skip = [&](const std::vector<Error>& errors) {
    for (Compared& figure : result.figures) figure.skipped = first_of(errors);
    return result;
  };
  std::vector<std::string> set = row.set;
  set.insert(set.end(), overrides.begin(), overrides.end());
  const Result<Scenario> scenario = load_scenario(json::parse(family.scenario), folders, set);
  if (!scenario) return skip(scenario.errors());
  const ordered_json estimate = report::to_json(report::estimate(*scenario), true);
  if (ignores_layout(*scenario, estimate))
    return skip({{"/cluster", "", "has several devices, but the estimate counts no communication between them", ""}});
  result.fits = estimate.at("memory").at("fits").get<bool>();
  for (Compared& figure : result.figures) {
    const Result<double> predicted = predict(figure.figure, family.flop, *scenario, estimate);
    if (!predicted) {
      figure.skipped = first_of(predicted.errors());
      continue;
    }
    figure.predicted = *predicted;
    if (!is_speed_of_training(figure.figure) || result.measured_step_s > 0) continue;
    const double step = estimate.at("time").at("step_s").get<double>();
    result.measured_step_s = is_cost(figure.figure) ? figure.measured : step * figure.predicted / figure.measured;
    result.parts = parts_of(estimate);
  }
  return result;
}

std::vector<Summary> summaries_of(const Family& family, const std::vector<ComparedRow>& rows) {
  std::vector<Summary> summaries;
  for (const ComparedRow& row : rows)
    for (const Compared& figure : row.figures) {
      if (!figure.skipped.empty()) continue;
      auto found =
          std::find_if(summaries.begin(), summaries.end(), [&](const Summary& s) { return s.figure == figure.figure; });
      if (found == summaries.end()) {
        Summary fresh;
        fresh.figure = figure.figure;
        for (const Goal& goal : family.goals)
          if (goal.figure == figure.figure) fresh.goal = goal.error;
        found = summaries.insert(summaries.end(), std::move(fresh));
      }
      const double error = figure.error();
      ++found->rows;
      found->mean_absolute_error += std::abs(error);
      found->bias += error;
      if (found->worst.empty() || std::abs(error) > std::abs(found->worst_error)) {
        found->worst = row.id;
        found->worst_error = error;
      }
    }
  for (Summary& summary : summaries) {
    summary.mean_absolute_error /= summary.rows;
    summary.bias /= summary.rows;
  }
  return summaries;
}

/// Mean absolute error of the step's time with one part multiplied by `factor`.
double error_with(const std::vector<const ComparedRow*>& rows, const std::string& part, double factor) {
  double sum = 0;
  for (const ComparedRow* row : rows) {
    double step = 0;
    for (const auto& [name, seconds] : row->parts) step += name == part ? factor * seconds : seconds;
    sum += std::abs(step / row->measured_step_s - 1);
  }
  return sum / static_cast<double>(rows.size());
}

std::vector<Suspect> suspects_of(const std::vector<ComparedRow>& all) {
  std::vector<const ComparedRow*> rows;
  std::map<std::string, double> shares;  // of the predicted time
  for (const ComparedRow& row : all) {
    if (row.measured_step_s <= 0) continue;
    rows.push_back(&row);
    double step = 0;
    for (const auto& [name, seconds] : row.parts) step += seconds;
    for (const auto& [name, seconds] : row.parts) shares[name] += seconds / step;
  }
  std::vector<Suspect> suspects;
  for (const auto& [part, share] : shares) {
    Suspect suspect{part, share / static_cast<double>(rows.size()), 1, error_with(rows, part, 1)};
    constexpr int steps = 40;
    for (int i = -steps; i <= steps; ++i) {
      const double factor = std::pow(5.0, static_cast<double>(i) / steps);
      const double error = error_with(rows, part, factor);
      if (error < suspect.error_left) suspect.factor = factor, suspect.error_left = error;
    }
    suspects.push_back(suspect);
  }
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.error_left < b.error_left; });
  if (suspects.size() > 5) suspects.resize(5);
  return suspects;
}

}  // namespace

Comparison compare(Family family, const Folders& folders, std::span<const std::string> overrides) {
  Comparison result;
  for (const Row& row : family.rows) {
    result.rows.push_back(compare_row(family, row, folders, overrides));
    const auto& figures = result.rows.back().figures;
    const auto skipped =
        std::count_if(figures.begin(), figures.end(), [](const Compared& c) { return !c.skipped.empty(); });
    result.skipped_figures += static_cast<int>(skipped);
    result.skipped_rows += static_cast<std::size_t>(skipped) == figures.size() ? 1 : 0;
  }
  result.summaries = summaries_of(family, result.rows);
  result.suspects = suspects_of(result.rows);
  result.family = std::move(family);
  return result;
}

bool within(const Comparison& comparison, double tolerance) {
  return std::all_of(comparison.summaries.begin(), comparison.summaries.end(),
                     [&](const Summary& s) { return s.mean_absolute_error <= tolerance; });
}

}  // namespace dtcalc::published
