#include "kernels/activation.hpp"

#include "engine/cpu/activation.hpp"
#include "engine/cpu/activation_output.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

constexpr Activation activations[] = {Activation::gelu, Activation::gelu_tanh, Activation::relu,
                                      Activation::tanh, Activation::sigmoid,   Activation::silu};
/// Rounded operations in sequence from x to a result, in float; 16 bits round once more, which hides them.
template <class T>
constexpr double operations = std::is_same_v<T, float> ? 16 : 1;

const std::int64_t sizes[] = {1, 17, 1000, 4096};

TEST_CASE("activations on the GPU: values and slopes, plain and gated") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const Activation activation : activations) {
      for (const std::int64_t n : sizes) {
        CAPTURE(static_cast<int>(activation), n);
        // One number alone is held to its own size: it must not be one where the slope is next to nothing.
        const Values x = n == 1 ? Values{0.5} : operands<T>(n, 1, 6), up = operands<T>(n, 2), dy = operands<T>(n, 3);
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          const auto in = cpu::test::converted<U>(x), u = cpu::test::converted<U>(up), g = cpu::test::converted<U>(dy);
          std::vector<U> y(in.size()), dx = y, gated = y, dgate = y, dup = y;
          cpu::activation_forward<U>(context, activation, n, in.data(), y.data());
          cpu::activation_backward<U>(context, activation, n, in.data(), g.data(), dx.data());
          cpu::gated_activation_forward<U>(context, activation, n, in.data(), u.data(), gated.data());
          cpu::gated_activation_backward<U>(context, activation, n, in.data(), u.data(), g.data(), dgate.data(),
                                            dup.data());
          return std::vector<Values>{widened(y), widened(dx), widened(gated), widened(dgate), widened(dup)};
        };
        const auto exact = run(double{}), single = run(float{});
        Launch launch;
        Buffer<T> in(x), u(up), g(dy), y(n), dx(n), gated(n), dgate(n), dup(n);
        const Context context = launch.context();
        require(activation_forward<T>(context, activation, n, in.data(), y.data()));
        require(activation_backward<T>(context, activation, n, in.data(), g.data(), dx.data()));
        require(gated_activation_forward<T>(context, activation, n, in.data(), u.data(), gated.data()));
        require(gated_activation_backward<T>(context, activation, n, in.data(), u.data(), g.data(), dgate.data(),
                                             dup.data()));
        check<T>("y", y.read(), exact[0], single[0], operations<T>);
        check<T>("dx", dx.read(), exact[1], single[1], operations<T>);
        check<T>("gated", gated.read(), exact[2], single[2], operations<T>);
        check<T>("dgate", dgate.read(), exact[3], single[3], operations<T>);
        check<T>("dup", dup.read(), exact[4], single[4], operations<T>);
        // In place.
        require(activation_backward<T>(context, activation, n, in.data(), g.data(), g.data()));
        CHECK(g.read() == dx.read());
        require(gated_activation_forward<T>(context, activation, n, in.data(), u.data(), u.data()));
        CHECK(u.read() == gated.read());
      }
    }
  });
}

TEST_CASE("activations on the GPU: far from zero they stay finite") {
  DTCALC_NEED_GPU();
  const Values x{-1e4, -200, -88, 88, 200, 1e4};
  for_types([&](auto tag) {
    using T = decltype(tag);
    for (const Activation activation : activations) {
      CAPTURE(static_cast<int>(activation));
      Launch launch;
      Buffer<T> in(x), g(Values(x.size(), 1.0)), y(6), dx(6);
      require(activation_forward<T>(launch.context(), activation, 6, in.data(), y.data()));
      require(activation_backward<T>(launch.context(), activation, 6, in.data(), g.data(), dx.data()));
      for (const double value : y.read()) CHECK(std::isfinite(value));
      for (const double value : dx.read()) CHECK(std::isfinite(value));
    }
  });
}

TEST_CASE("activations on the GPU: slopes from outputs, and the soft cap") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    constexpr std::int64_t n = 1000;
    const double cap = 30;
    const Values y = operands<T>(n, 1), dy = operands<T>(n, 3), z = operands<T>(n, 5, 60);
    const auto run = [&](auto zero) {
      using U = decltype(zero);
      cpu::test::Team team(2);
      cpu::Context context = team.context();
      const auto out = cpu::test::converted<U>(y), g = cpu::test::converted<U>(dy), raw = cpu::test::converted<U>(z);
      std::vector<Values> results;
      for (const Activation activation : {Activation::relu, Activation::tanh, Activation::sigmoid}) {
        std::vector<U> dx(out.size());
        cpu::activation_backward_from_output<U>(context, activation, n, out.data(), g.data(), dx.data());
        results.push_back(widened(dx));
      }
      std::vector<U> capped(out.size()), dx(out.size());
      cpu::softcap_forward<U>(context, cap, n, raw.data(), capped.data());
      cpu::softcap_backward<U>(context, cap, n, out.data(), g.data(), dx.data());
      results.push_back(widened(capped));
      results.push_back(widened(dx));
      return results;
    };
    const auto exact = run(double{}), single = run(float{});
    Launch launch;
    const Context context = launch.context();
    Buffer<T> out(y), g(dy), raw(z), dx(n);
    std::size_t at = 0;
    for (const Activation activation : {Activation::relu, Activation::tanh, Activation::sigmoid}) {
      require(activation_backward_from_output<T>(context, activation, n, out.data(), g.data(), dx.data()));
      check<T>("dx", dx.read(), exact[at], single[at]);
      ++at;
    }
    require(softcap_forward<T>(context, cap, n, raw.data(), dx.data()));
    check<T>("capped", dx.read(), exact[3], single[3]);
    require(softcap_backward<T>(context, cap, n, out.data(), g.data(), dx.data()));
    check<T>("through the cap", dx.read(), exact[4], single[4]);
    CHECK(activation_backward_from_output<T>(context, Activation::silu, n, out.data(), g.data(), dx.data()) ==
          cudaErrorInvalidValue);
  });
}

}  // namespace
}  // namespace dtcalc::cuda::test
