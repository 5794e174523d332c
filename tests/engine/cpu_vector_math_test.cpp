// The engine's own exp, tanh, sigmoid and normal distribution against the library in a wider type.
#include "engine/cpu/vector_math.hpp"

#include <bit>

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// Distance in units of the last place of the exact value.
template <class T>
double ulps(T got, long double exact) {
  const T nearest = static_cast<T>(std::abs(exact));
  const long double unit = static_cast<long double>(std::nextafter(nearest, std::numeric_limits<T>::infinity())) -
                           static_cast<long double>(nearest);
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) / unit);
}

/// Largest error over [low, high]: equidistant points and, around 0, points of every magnitude.
template <class T, class F, class G>
double worst(F f, G exact, double low, double high) {
  double most = 0;
  const auto visit = [&](double at) {
    const T x = static_cast<T>(at);
    if (static_cast<double>(x) >= low && static_cast<double>(x) <= high) {
      most = std::max(most, ulps(f(x), exact(static_cast<long double>(x))));
    }
  };
  constexpr int points = 400000;
  for (int i = 0; i <= points; ++i) visit(low + (high - low) * (i + 0.37) / points);
  for (double size = 1e-30; size < 100; size *= 1.003) visit(size), visit(-size);
  return most;
}

}  // namespace

TEST_CASE("exp, tanh and sigmoid keep their stated errors", "[engine][math]") {
  const auto exp = [](long double x) { return std::exp(x); };
  const auto tanh = [](long double x) { return std::tanh(x); };
  const auto sigmoid = [](long double x) { return 1 / (1 + std::exp(-x)); };
  CHECK(worst<float>(fast_exp<float>, exp, -86.4, 88.7) < 1.1);
  CHECK(worst<double>(fast_exp<double>, exp, -707, 709.7) < 1.1);
  CHECK(worst<float>(fast_tanh<float>, tanh, -30, 30) < 3);
  CHECK(worst<double>(fast_tanh<double>, tanh, -30, 30) < 3);
  CHECK(worst<float>(fast_sigmoid<float>, sigmoid, -85, 85) < 3);
  CHECK(worst<double>(fast_sigmoid<double>, sigmoid, -700, 700) < 3);
}

TEST_CASE("special values come through exp and tanh", "[engine][math]") {
  const auto check = [](auto zero) {
    using T = decltype(zero);
    const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    CHECK(fast_exp(-infinity) == 0);
    CHECK(fast_exp(infinity) == infinity);
    CHECK(fast_exp(T(0)) == 1);
    CHECK(fast_exp(T(-1e4)) == 0);
    CHECK(fast_exp(T(1e4)) == infinity);
    CHECK(std::isnan(fast_exp(nan)));
    CHECK(fast_tanh(infinity) == 1);
    CHECK(fast_tanh(-infinity) == -1);
    CHECK(std::isnan(fast_tanh(nan)));
    CHECK(fast_sigmoid(-infinity) == 0);
    CHECK(fast_sigmoid(infinity) == 1);
    CHECK(std::isnan(normal(nan).cumulative));
  };
  check(0.0F);
  check(0.0);
}

TEST_CASE("the normal distribution keeps its stated error", "[engine][math]") {
  const auto cumulative = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  double single = 0, twice = 0, density = 0;
  for (double x = -12; x <= 12; x += 1e-4) {
    const auto rounded = static_cast<double>(static_cast<float>(x));
    single =
        std::max(single, std::abs(static_cast<double>(normal(static_cast<float>(x)).cumulative) - cumulative(rounded)));
    twice = std::max(twice, std::abs(normal(x).cumulative - cumulative(x)));
    const double exact = std::exp(-rounded * rounded / 2) / std::sqrt(2 * 3.14159265358979323846);
    density = std::max(density, std::abs(static_cast<double>(normal(static_cast<float>(x)).density) - exact));
  }
  CHECK(single < 2 * static_cast<double>(std::numeric_limits<float>::epsilon()));
  CHECK(density < 2 * static_cast<double>(std::numeric_limits<float>::epsilon()));
  CHECK(twice < 2 * std::numeric_limits<double>::epsilon());
  CHECK(normal(static_cast<float>(-inf)).cumulative == 0);
  CHECK(normal(static_cast<float>(inf)).cumulative == 1);
}

}  // namespace dtcalc::cpu::test
