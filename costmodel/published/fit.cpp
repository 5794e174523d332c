#include "costmodel/published/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::published {
namespace {

constexpr std::array<std::string_view, 4> names{"compute_time_factor", "memory_time_factor",
                                                "communication_time_factor", "launch_overhead_s"};

/// How far the search may go, in logarithms.
struct Bounds {
  double least, most;
};
Bounds bounds(Constant c) {
  return c == Constant::launch_overhead ? Bounds{std::log(1e-8), std::log(3e-4)} : Bounds{std::log(0.25), std::log(8)};
}

void set(Software& software, Constant constant, double value) {
  switch (constant) {
    case Constant::compute_time_factor:
      software.compute_time_factor = value;
      return;
    case Constant::memory_time_factor:
      software.memory_time_factor = value;
      return;
    case Constant::communication_time_factor:
      software.communication_time_factor = value;
      return;
    case Constant::launch_overhead:
      software.launch_overhead = Seconds(value);
  }
}

bool is_time(Figure figure) {
  return figure != Figure::memory_allocated && figure != Figure::memory_reserved && figure != Figure::memory_device;
}

/// A row ready to be predicted with any constants.
struct Sample {
  Scenario scenario;
  FlopConvention flop;
  FittedRow row;
};

using Constants = std::vector<double>;    ///< logarithms
using Residuals = std::vector<double>;    ///< log(predicted / measured), a row each
using Jacobian = std::vector<Constants>;  ///< by row, then by constant

double mean_absolute(const Residuals& r) {
  double sum = 0;
  for (const double x : r) sum += std::abs(x);
  return sum / static_cast<double>(r.size());
}

/// The samples of a fit, and what they say about the constants.
class Problem {
 public:
  Problem(std::vector<Sample> samples, std::span<const Constant> constants)
      : samples_(std::move(samples)), constants_(constants.begin(), constants.end()) {}

  std::vector<Sample>& samples() { return samples_; }

  double predicted(const Sample& sample, const Constants& theta) const {
    Scenario scenario = sample.scenario;
    for (std::size_t i = 0; i < constants_.size(); ++i) set(scenario.software, constants_[i], std::exp(theta[i]));
    return predict(sample.row.figure, sample.flop, scenario, report::to_json(report::estimate(scenario), false))
        .value();
  }

  Residuals residuals(const Constants& theta) const {
    Residuals r;
    for (const Sample& sample : samples_) r.push_back(std::log(predicted(sample, theta) / sample.row.measured));
    return r;
  }

  Jacobian jacobian(const Constants& theta, const Residuals& at) const {
    constexpr double step = 0.02;  // wide enough to see over the kinks of maxima
    Jacobian j(at.size(), Constants(theta.size()));
    for (std::size_t k = 0; k < theta.size(); ++k) {
      Constants moved = theta;
      moved[k] += step;
      const Residuals r = residuals(moved);
      for (std::size_t i = 0; i < at.size(); ++i) j[i][k] = (r[i] - at[i]) / step;
    }
    return j;
  }

  /// Factors of 1, and of some costs of a launch the best: below that of the fastest host it moves no row at all, so
  /// that a search from there would not see it.
  Constants start() const {
    Constants best;
    double least = 0;
    for (const double launch : {2e-6, 1e-5, 2e-5, 4e-5, 8e-5}) {
      Constants theta;
      for (const Constant c : constants_) theta.push_back(c == Constant::launch_overhead ? std::log(launch) : 0);
      const double error = mean_absolute(residuals(theta));
      if (best.empty() || error < least) best = theta, least = error;
    }
    return best;
  }

  /// theta + scale d, within the bounds.
  Constants moved(Constants theta, const Constants& d, double scale) const {
    for (std::size_t i = 0; i < constants_.size(); ++i)
      theta[i] = std::clamp(theta[i] + scale * d[i], bounds(constants_[i]).least, bounds(constants_[i]).most);
    return theta;
  }

 private:
  std::vector<Sample> samples_;
  std::vector<Constant> constants_;
};

/// Solves the symmetric positive definite A x = b by Gaussian elimination; A is kMostConstants square at most.
Constants solve_normal(std::vector<Constants> a, Constants b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      const double factor = a[j][i] / a[i][i];
      for (std::size_t k = i; k < n; ++k) a[j][k] -= factor * a[i][k];
      b[j] -= factor * b[i];
    }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

constexpr std::size_t kAll = ~std::size_t{0};

/// The step d that minimises sum |r + J d| over the rows other than `without`: least squares with weights
/// 1 / |r + J d|, again and again.
Constants least_absolute_step(const Jacobian& j, const Residuals& r, std::size_t without) {
  constexpr int rounds = 30;
  constexpr double smallest = 0.01;  // residuals below it weigh alike
  constexpr double ridge = 1e-6;     // a constant that moves no row stays where it is
  const std::size_t n = j.front().size();
  Constants d(n, 0.0);
  for (int round = 0; round < rounds; ++round) {
    std::vector<Constants> normal(n, Constants(n, 0.0));
    Constants right(n, 0.0);
    for (std::size_t k = 0; k < n; ++k) normal[k][k] = ridge;
    for (std::size_t i = 0; i < r.size(); ++i) {
      if (i == without) continue;
      double moved = r[i];
      for (std::size_t k = 0; k < n; ++k) moved += j[i][k] * d[k];
      const double weight = 1 / std::max(std::abs(moved), smallest);
      for (std::size_t k = 0; k < n; ++k) {
        right[k] -= weight * j[i][k] * r[i];
        for (std::size_t l = 0; l < n; ++l) normal[k][l] += weight * j[i][k] * j[i][l];
      }
    }
    d = solve_normal(std::move(normal), std::move(right));
  }
  return d;
}

struct Solution {
  Constants theta;
  Residuals residuals;
  Jacobian jacobian;
};

Solution solve(const Problem& problem) {
  constexpr int most_steps = 12, halvings = 4;
  constexpr double longest = 1;  // of a step in a logarithm
  constexpr double smallest_gain = 1e-5;
  Solution s{problem.start(), {}, {}};
  s.residuals = problem.residuals(s.theta);
  s.jacobian = problem.jacobian(s.theta, s.residuals);
  for (int step = 0; step < most_steps; ++step) {
    const Constants d = least_absolute_step(s.jacobian, s.residuals, kAll);
    double scale = 1;
    for (const double x : d) scale = std::min(scale, longest / std::max(longest, std::abs(x)));
    bool better = false;
    for (int i = 0; i < halvings && !better; ++i, scale *= 0.5) {
      Constants theta = problem.moved(s.theta, d, scale);
      Residuals residuals = problem.residuals(theta);
      if (mean_absolute(residuals) >= mean_absolute(s.residuals) - smallest_gain) continue;
      s.theta = std::move(theta), s.residuals = std::move(residuals);
      better = true;
    }
    if (!better) break;
    s.jacobian = problem.jacobian(s.theta, s.residuals);
  }
  return s;
}

/// Every speed of the families that the model predicts, by stack, with the constants neutral.
std::map<std::string, std::vector<Sample>> samples_of(std::span<const Family> families,
                                                      std::span<const Constant> constants, const Folders& folders) {
  std::map<std::string, std::vector<Sample>> samples;
  for (const Family& family : families)
    for (const Row& row : family.rows) {
      Result<Scenario> scenario = load_scenario(nlohmann::json::parse(family.scenario), folders, row.set);
      if (!scenario) continue;  // `validate --published` says why
      Software& software = scenario->software;
      software.allocator = Allocator::none;  // no speed depends on it, and it would be played in every evaluation
      if (!software.fitted_on.empty())
        for (const Constant c : fitted_constants(software)) set(software, c, neutral(c));
      for (const Constant c : constants) set(software, c, neutral(c));
      const nlohmann::ordered_json estimate = report::to_json(report::estimate(*scenario), false);
      for (const Measured& m : row.measured) {
        if (!is_time(m.figure)) continue;
        const Result<double> predicted = predict(m.figure, family.flop, *scenario, estimate);
        if (predicted)
          samples[stack_of(software)].push_back(
              {*scenario, family.flop, {family.name, row.id, m.figure, m.value, *predicted}});
      }
    }
  return samples;
}

Fit fit_stack(const std::string& stack, std::vector<Sample> samples, std::span<const Constant> constants) {
  Problem problem(std::move(samples), constants);
  const Solution solution = solve(problem);
  Fit result{stack, {}, {}};
  for (std::size_t i = 0; i < constants.size(); ++i)
    result.constants.push_back({constants[i], std::exp(solution.theta[i])});
  for (std::size_t i = 0; i < problem.samples().size(); ++i) {
    const Sample& sample = problem.samples()[i];
    FittedRow row = sample.row;
    row.fitted = std::exp(solution.residuals[i]) * row.measured;
    const Constants d = least_absolute_step(solution.jacobian, solution.residuals, i);
    row.leave_one_out = problem.predicted(sample, problem.moved(solution.theta, d, 1));
    result.rows.push_back(row);
  }
  return result;
}

}  // namespace

std::string_view name_of(Constant constant) { return names.at(static_cast<std::size_t>(constant)); }

std::vector<std::string> constant_names() { return {names.begin(), names.end()}; }

std::optional<Constant> constant_named(std::string_view name) {
  const auto* const found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Constant>(found - names.begin());
}

double value_of(Constant constant, const Software& software) {
  switch (constant) {
    case Constant::compute_time_factor:
      return software.compute_time_factor;
    case Constant::memory_time_factor:
      return software.memory_time_factor;
    case Constant::communication_time_factor:
      return software.communication_time_factor;
    case Constant::launch_overhead:
      break;
  }
  return software.launch_overhead.value();
}

double neutral(Constant constant) { return constant == Constant::launch_overhead ? 0 : 1; }

std::vector<Constant> fitted_constants(const Software& software) {
  std::vector<Constant> fitted;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (const auto c = static_cast<Constant>(i); value_of(c, software) != neutral(c)) fitted.push_back(c);
  return fitted;
}

double mean_error(const Fit& fit, std::string_view family, double FittedRow::*predicted) {
  double sum = 0;
  int rows = 0;
  for (const FittedRow& row : fit.rows)
    if (family.empty() || row.family == family) sum += std::abs(row.*predicted / row.measured - 1), ++rows;
  return rows > 0 ? sum / rows : 0;
}

std::string stack_of(const Software& software) { return software.stack.empty() ? software.id : software.stack; }

Result<std::vector<Fit>> fit(std::span<const Family> families, std::span<const Constant> constants,
                             const Folders& folders) {
  if (constants.empty() || static_cast<int>(constants.size()) > kMostConstants)
    return Error{"--fit", fmt::format("{} constants", constants.size()), "a stack gets one to three",
                 fmt::format("name some of {}", fmt::join(names, ", "))};
  std::vector<Fit> fits;
  for (auto& [stack, samples] : samples_of(families, constants, folders))
    if (static_cast<int>(samples.size()) >= kFewestRows)
      fits.push_back(fit_stack(stack, std::move(samples), constants));
  if (fits.empty())
    return Error{"--fit", "", fmt::format("no stack has {} rows with a predicted speed", kFewestRows),
                 "name more families of the same stack"};
  return fits;
}

}  // namespace dtcalc::published
