// Bias, dropout, sums: against plain loops.
#include "engine/cpu/elementwise.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

const DropoutKey key{5, 1, 0, 3, 2};

std::vector<double> mask_of(std::int64_t count, double p) {
  std::vector<double> mask(static_cast<std::size_t>(count), 1);
  if (p > 0) fill_dropout_mask(DropoutStream(key), p, 0, count, mask.data());
  return mask;
}

struct Size {
  std::int64_t rows, columns;
};
const std::vector<Size> sizes = {{1, 1}, {3, 17}, {65, 65}, {17, 1030}, {700, 80}, {1, 9000}};

template <class T>
void check_bias_dropout(double tolerance) {
  Team team(3);
  Context context = team.context();
  for (const Size& s : sizes) {
    const std::int64_t count = s.rows * s.columns;
    const auto y = random_values(count, 1), bias = random_values(s.columns, 2);
    for (const double p : {0.0, 0.25}) {
      for (const bool with_bias : {false, true}) {
        CAPTURE(s.rows, s.columns, p, with_bias);
        const auto mask = mask_of(count, p);
        std::vector<double> forward(y.size()), backward(y.size());
        for (std::size_t i = 0; i < y.size(); ++i) {
          const double b = with_bias ? bias[i % static_cast<std::size_t>(s.columns)] : 0;
          forward[i] = (y[i] + b) * mask[i];
          backward[i] = y[i] * mask[i];
        }
        auto got = converted<T>(y), gradient = got;
        const auto typed = converted<T>(bias);
        bias_dropout_forward(context, s.rows, s.columns, got.data(), with_bias ? typed.data() : nullptr, p, key);
        dropout_backward(context, count, gradient.data(), p, key);
        if (count > 1) CHECK(distance(got, forward) <= tolerance);
        if (count > 1) CHECK(distance(gradient, backward) <= tolerance);
      }
    }
  }
}

}  // namespace

TEST_CASE("bias and dropout equal their definition, backward with the same mask", "[engine][elementwise]") {
  check_bias_dropout<double>(rounding<double>(3));
  check_bias_dropout<float>(rounding<float>(3));
}

TEST_CASE("the bias gradient adds the sum over rows", "[engine][elementwise]") {
  Team team(3);
  Context context = team.context();
  for (const Size& s : sizes) {
    CAPTURE(s.rows, s.columns);
    const auto dy = random_values(s.rows * s.columns, 1), old = random_values(s.columns, 2);
    std::vector<double> expected = old;
    for (std::size_t i = 0; i < dy.size(); ++i) expected[i % old.size()] += dy[i];
    auto got = old;
    bias_gradient(context, s.rows, s.columns, dy.data(), got.data());
    const auto rows = static_cast<double>(s.rows);
    CHECK(error(got, expected) <= rounding<double>(s.rows + 2) * (rows + 1));
    auto single = converted<float>(old);
    const auto typed = converted<float>(dy);
    bias_gradient(context, s.rows, s.columns, typed.data(), single.data());
    // Blocked sums: 64 + rows / 64 roundings of partial sums below `rows`.
    CHECK(error(single, expected) <= rounding<float>(66 + s.rows / 64) * (rows + 1));
  }
}

TEST_CASE("add and scale, also in place", "[engine][elementwise]") {
  Team team(2);
  Context context = team.context();
  for (const std::int64_t count : {1, 3, 17, 9001}) {
    const auto a = random_values<float>(count, 1), b = random_values<float>(count, 2);
    std::vector<float> sum(a.size()), scaled = a, in_place = a;
    add(context, count, sum.data(), a.data(), b.data());
    add(context, count, in_place.data(), in_place.data(), b.data());
    scale(context, count, scaled.data(), 0.3);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CHECK(sum[i] == a[i] + b[i]);
      CHECK(in_place[i] == sum[i]);
      CHECK(scaled[i] == a[i] * 0.3F);
    }
  }
}

}  // namespace dtcalc::cpu::test
