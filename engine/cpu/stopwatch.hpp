// How the engine times a kernel: the median of repetitions, as many as fit a time budget. Called by measure.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace dtcalc::cpu {

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
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

}  // namespace dtcalc::cpu
