// How the engine times a kernel: the median of repetitions, as many as fit a time budget. Called by measure and
// validate.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace dtcalc::cpu {

/// The upper median; 0 of nothing.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Median seconds of one call of `body` after one warm-up; at least 3 and at most 200 repetitions within `budget_s`.
template <class F>
double median_seconds(double budget_s, F&& body) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  body();
  std::vector<double> times;
  const auto start = Clock::now();
  while (times.size() < 3 || (times.size() < 200 && seconds(start) < budget_s)) {
    const auto begin = Clock::now();
    body();
    times.push_back(seconds(begin));
  }
  return median(std::move(times));
}

}  // namespace dtcalc::cpu
