// Activations against their definitions by the library's functions, derivatives against differences.
#include "engine/cpu/activation.hpp"

#include <numbers>

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

double phi(Activation activation, double x) {
  switch (activation) {
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

/// Five points; the kink of ReLU must be further than 2 h from x.
double slope(Activation activation, double x) {
  const double h = 1e-3;
  return (8 * (phi(activation, x + h) - phi(activation, x - h)) -
          (phi(activation, x + 2 * h) - phi(activation, x - 2 * h))) /
         (12 * h);
}

const std::vector<Activation> all = {Activation::gelu, Activation::gelu_tanh, Activation::relu,
                                     Activation::tanh, Activation::sigmoid,   Activation::silu};

/// In [-6, 6), away from 0 by 0.01.
std::vector<double> inputs(std::int64_t count) {
  auto x = random_values(count, 1);
  for (double& value : x) value = 6 * value + (value < 0 ? -0.01 : 0.01);
  return x;
}

}  // namespace

TEST_CASE("activations equal their definitions and derivatives", "[engine][activation]") {
  Team team(3);
  Context context = team.context();
  for (const Activation activation : all) {
    for (const std::int64_t count : {1, 3, 17, 65, 10007}) {
      CAPTURE(static_cast<int>(activation), count);
      const auto x = inputs(count), up = random_values(count, 2), dy = random_values(count, 3);
      std::vector<double> value, derivative, gated, dgate, dup;
      for (std::size_t i = 0; i < x.size(); ++i) {
        value.push_back(phi(activation, x[i]));
        derivative.push_back(dy[i] * slope(activation, x[i]));
        gated.push_back(value[i] * up[i]);
        dgate.push_back(derivative[i] * up[i]);
        dup.push_back(dy[i] * value[i]);
      }
      const auto check = [&](auto zero, double forward, double backward) {
        using T = decltype(zero);
        const auto tx = converted<T>(x), tup = converted<T>(up), tdy = converted<T>(dy);
        std::vector<T> y(x.size()), dx = y, gy = y, dg = y, du = y;
        activation_forward(context, activation, count, tx.data(), y.data());
        activation_backward(context, activation, count, tx.data(), tdy.data(), dx.data());
        gated_activation_forward(context, activation, count, tx.data(), tup.data(), gy.data());
        gated_activation_backward(context, activation, count, tx.data(), tup.data(), tdy.data(), dg.data(), du.data());
        CHECK(error(y, value) < forward);
        CHECK(error(dx, derivative) < backward);
        CHECK(error(gy, gated) < forward);
        CHECK(error(dg, dgate) < backward);
        CHECK(error(du, dup) < forward);

        auto in_place = tx, gradient = tdy, gate = tx, upward = tup;
        activation_forward(context, activation, count, in_place.data(), in_place.data());
        activation_backward(context, activation, count, tx.data(), gradient.data(), gradient.data());
        gated_activation_backward(context, activation, count, gate.data(), upward.data(), tdy.data(), gate.data(),
                                  upward.data());
        CHECK(in_place == y);
        CHECK(gradient == dx);
        CHECK(gate == dg);
        CHECK(upward == du);
      };
      // Absolute errors; values are below 6, the other factors below 1.2. A few ulp each of exp or tanh and of the
      // products; in the derivatives x multiplies the error of 1 - sigmoid. The differences themselves are good to
      // about 1e-11.
      check(0.0, 6 * rounding<double>(8), 1e-10);
      check(0.0F, 6 * rounding<float>(8), 6 * rounding<float>(16));
    }
  }
}

TEST_CASE("NaN survives every activation", "[engine][activation]") {
  Team team(1);
  Context context = team.context();
  for (const Activation activation : all) {
    float x = std::numeric_limits<float>::quiet_NaN(), y = 0;
    activation_forward(context, activation, 1, &x, &y);
    CHECK(std::isnan(y));
  }
}

}  // namespace dtcalc::cpu::test
