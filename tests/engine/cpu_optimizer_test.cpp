// Optimizer updates against their definitions over several steps; the norm against a plain sum.
#include "engine/cpu/optimizer.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

const std::vector<std::int64_t> counts = {1, 3, 17, 65, 9001};
constexpr int steps = 5;

/// `run` in T over some steps against `twin` in double; both change (parameter, first, second) by a gradient.
template <class T, class Run, class Twin>
void check(std::int64_t count, Run run, Twin twin) {
  const auto start = random_values(count, 1);
  std::vector<double> p = start, m(start.size()), v(start.size());
  auto tp = converted<T>(p), tm = converted<T>(m), tv = converted<T>(v);
  for (int step = 1; step <= steps; ++step) {
    const auto g = random_values(count, 10 + static_cast<std::uint64_t>(step));
    const auto tg = converted<T>(g);
    run(step, tp.data(), tg.data(), tm.data(), tv.data());
    for (std::size_t i = 0; i < p.size(); ++i) twin(step, p[i], g[i], m[i], v[i]);
  }
  // Some ten operations a step on values of the parameters' size; Adam's quotient is below 1 / (1 - beta1) learning
  // rates.
  CHECK(error(tp, p) < rounding<T>(10 * steps));
  CHECK(error(tm, m) < rounding<T>(10 * steps));
  CHECK(error(tv, v) < rounding<T>(10 * steps));
}

template <class T>
void check_all() {
  Team team(3);
  Context context = team.context();
  for (const std::int64_t count : counts) {
    CAPTURE(count);
    AdamW adam{.learning_rate = 0.01, .weight_decay = 0.1, .gradient_factor = 0.3};
    check<T>(
        count,
        [&](int step, T* p, const T* g, T* m, T* v) {
          adam.step = step;
          adamw(context, adam, count, p, g, m, v);
        },
        [&](int step, double& p, double g, double& m, double& v) {
          g *= 0.3;
          p -= 0.01 * 0.1 * p;
          m = 0.9 * m + 0.1 * g;
          v = 0.95 * v + 0.05 * g * g;
          const double corrected_m = m / (1 - std::pow(0.9, step)), corrected_v = v / (1 - std::pow(0.95, step));
          p -= 0.01 * corrected_m / (std::sqrt(corrected_v) + 1e-8);
        });
    const Sgd sgd_options{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.2, .gradient_factor = 0.5};
    check<T>(
        count, [&](int, T* p, const T* g, T* m, T*) { sgd(context, sgd_options, count, p, g, m); },
        [&](int, double& p, double g, double& m, double&) {
          m = 0.9 * m + 0.5 * g;
          p = p - 0.1 * 0.2 * p - 0.1 * m;
        });
    check<T>(
        count, [&](int, T* p, const T* g, T*, T*) { sgd<T>(context, sgd_options, count, p, g, nullptr); },
        [&](int, double& p, double g, double&, double&) { p = p - 0.1 * 0.2 * p - 0.1 * 0.5 * g; });
  }
}

}  // namespace

TEST_CASE("AdamW and SGD equal their definitions", "[engine][optimizer]") {
  check_all<double>();
  check_all<float>();
}

TEST_CASE("the squared norm equals a sum, with the same bits on any number of threads", "[engine][optimizer]") {
  Team one(1), three(3);
  Context a = one.context(), b = three.context();
  for (const std::int64_t count : {0, 1, 3, 65, 9001, 100003}) {
    const auto x = random_values<float>(count, 1);
    long double sum = 0;
    for (const float value : x) sum += static_cast<long double>(value) * static_cast<long double>(value);
    const double got = squared_norm(a, count, x.data());
    CHECK(std::abs(got - static_cast<double>(sum)) <=
          rounding<double>(count / 64 / 32 + 110) * static_cast<double>(sum));
    CHECK(got == squared_norm(b, count, x.data()));
  }
}

}  // namespace dtcalc::cpu::test
