// What the tests of the CPU kernels share: a team of threads with scratch, random operands, distances and finite
// differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "engine/cpu/context.hpp"
#include "support/catch.hpp"

namespace dtcalc::cpu::test {

/// Threads, counter and workspace of one context. The workspace has exactly the bytes asked for (in whole cache lines),
/// so that a sanitizer sees a kernel that takes more.
class Team {
 public:
  explicit Team(int threads, std::int64_t workspace_bytes = 0)
      : pool_(threads), flop_(threads), lines_(static_cast<std::size_t>((workspace_bytes + 63) / 64)) {}
  Context context() { return {pool_, flop_, std::as_writable_bytes(std::span<Line>(lines_))}; }
  std::uint64_t flop() const { return flop_.total(); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  ThreadPool pool_;
  FlopCounter flop_;
  std::vector<Line> lines_;
};

/// Uniform in [-1, 1), the same numbers for float and double up to rounding.
template <class T = double>
std::vector<T> random_values(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(uniform(generator));
  return values;
}

template <class T>
std::vector<T> converted(const std::vector<double>& values) {
  std::vector<T> result;
  for (const double value : values) result.push_back(static_cast<T>(value));
  return result;
}

inline double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

/// Largest |got - expected|. NaN anywhere gives NaN, which no tolerance accepts.
template <class T>
double error(const std::vector<T>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double most = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double one = std::abs(static_cast<double>(got[i]) - expected[i]);
    if (std::isnan(one)) return one;
    most = std::max(most, one);
  }
  return most;
}

/// The same over the largest |expected|.
template <class T>
double distance(const std::vector<T>& got, const std::vector<double>& expected) {
  return error(got, expected) / std::max(largest(expected), std::numeric_limits<double>::min());
}

/// Bound on the relative error of `steps` rounded operations.
template <class T>
double rounding(std::int64_t steps) {
  return static_cast<double>(steps) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

/// Holds `gradient` to differences of `loss` around x, on 24 sampled entries and one random direction. Five points with
/// h = 1e-3: truncation h^4 / 30 times the fifth derivative and rounding eps / h are both near 1e-12 of the loss; 1e-9
/// leaves room for large derivatives.
inline void require_gradient(const std::function<double(const std::vector<double>&)>& loss,
                             const std::vector<double>& x, const std::vector<double>& gradient) {
  constexpr double h = 1e-3, tolerance = 1e-9;
  REQUIRE(x.size() == gradient.size());
  const auto slope = [&](const std::vector<double>& direction) {
    const auto at = [&](double t) {
      std::vector<double> moved = x;
      for (std::size_t i = 0; i < x.size(); ++i) moved[i] += t * direction[i];
      return loss(moved);
    };
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  };
  double size = 0;
  for (const double g : gradient) size += g * g;
  size = std::sqrt(size);
  REQUIRE(size > 0);
  std::vector<double> direction(x.size());
  for (std::size_t sample = 0; sample < 24; ++sample) {
    const std::size_t i = sample * x.size() / 24;
    direction[i] = 1;
    CAPTURE(i, gradient[i]);
    CHECK(std::abs(slope(direction) - gradient[i]) <= tolerance * size);
    direction[i] = 0;
  }
  direction = random_values(static_cast<std::int64_t>(x.size()), 99);
  double along = 0;
  for (std::size_t i = 0; i < x.size(); ++i) along += direction[i] * gradient[i];
  CHECK(std::abs(slope(direction) - along) <= tolerance * size * std::sqrt(static_cast<double>(x.size())));
}

/// Sum of weights · values: makes a scalar of a kernel's output.
inline double dot(const std::vector<double>& weights, const std::vector<double>& values) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
  return sum;
}

}  // namespace dtcalc::cpu::test
