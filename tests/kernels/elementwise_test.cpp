#include "kernels/elementwise.hpp"

#include "engine/cpu/elementwise.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

const DropoutKey key{0x123456789ABCDEFULL, 5, 2, 3, 1};
const cpu::DropoutKey cpu_key{0x123456789ABCDEFULL, 5, 2, 3, 1};

TEST_CASE("bias and dropout on the GPU: the masks are the CPU's, bit for bit") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const std::int64_t columns : {1, 17, 80, 1600}) {
      for (const double p : {0.0, 0.1, 0.5}) {
        constexpr std::int64_t rows = 33;
        CAPTURE(columns, p);
        const Values x = operands<T>(rows * columns, 1), bias = operands<T>(columns, 2);
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          auto y = cpu::test::converted<U>(x), b = cpu::test::converted<U>(bias), dy = y;
          cpu::bias_dropout_forward<U>(context, rows, columns, y.data(), b.data(), p, cpu_key);
          cpu::dropout_backward<U>(context, rows * columns, dy.data(), p, cpu_key);
          return std::vector<Values>{widened(y), widened(dy)};
        };
        const auto exact = run(double{}), single = run(float{});
        Launch launch;
        Buffer<T> in(x), b(bias), y(rows * columns);
        require(bias_dropout_forward<T>(launch.context(), rows, columns, in.data(), y.data(), b.data(), p, key));
        const Values got = y.read();
        check<T>("y", got, exact[0], single[0]);
        std::size_t differ = 0;
        for (std::size_t i = 0; i < got.size(); ++i) differ += (exact[0][i] == 0) != (got[i] == 0);
        CHECK(differ == 0);
        require(dropout_backward<T>(launch.context(), rows * columns, in.data(), in.data(), p, key));
        check<T>("dx", in.read(), exact[1], single[1]);
      }
    }
  });
}

TEST_CASE("dropout on the GPU: a step in device memory replaces the host's") {
  DTCALC_NEED_GPU();
  constexpr std::int64_t n = 4096;
  const Values x = operands<float>(n, 1);
  const StepState state{.step = 77};
  StepState* on_device = nullptr;
  require(cudaMalloc(reinterpret_cast<void**>(&on_device), sizeof state));
  require(cudaMemcpy(on_device, &state, sizeof state, cudaMemcpyHostToDevice));
  DropoutKey from_state = key, from_host = key;
  from_state.state = on_device;
  from_host.step = 77;
  Launch launch;
  Buffer<float> in(x), a(n), b(n), other(n);
  require(dropout_backward<float>(launch.context(), n, in.data(), a.data(), 0.5, from_state));
  require(dropout_backward<float>(launch.context(), n, in.data(), b.data(), 0.5, from_host));
  require(dropout_backward<float>(launch.context(), n, in.data(), other.data(), 0.5, key));
  CHECK(a.read() == b.read());
  CHECK(a.read() != other.read());
  cudaFree(on_device);
}

TEST_CASE("bias gradient on the GPU: sums over rows, exact in small integers") {
  DTCALC_NEED_GPU();
  const auto body = [](auto tag, auto gradient_tag) {
    using T = decltype(tag);
    using G = decltype(gradient_tag);
    for (const std::int64_t rows : {1, 17, 1000, 3000}) {
      for (const std::int64_t columns : {1, 24, 77, 800}) {
        CAPTURE(rows, columns, name_of<T>(), name_of<G>());
        const Values dy = operands<T>(rows * columns, 1), before = operands<G>(columns, 2);
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          const auto in = cpu::test::converted<U>(dy);
          auto sum = cpu::test::converted<U>(before);
          cpu::bias_gradient<U>(context, rows, columns, in.data(), sum.data());
          return widened(sum);
        };
        Launch launch(bias_gradient_workspace_bytes(rows, columns));
        Buffer<T> in(dy);
        Buffer<G> sum(before);
        require(bias_gradient<T, G>(launch.context(), rows, columns, in.data(), sum.data()));
        launch.check();
        check<G>("dbias", sum.read(), run(double{}), run(float{}));

        // Ones, minus ones: their sums are integers below 2^8, which every G holds.
        Values signs(dy.size()), expected(std::size_t(columns), 0.0);
        for (std::size_t i = 0; i < signs.size(); ++i) {
          signs[i] = i % 3 == 0 ? 1 : i % 3 == 1 ? -1 : 0;
          expected[i % std::size_t(columns)] += signs[i];
        }
        Buffer<T> whole(signs);
        Buffer<G> exact(Values(std::size_t(columns), 0.0));
        require(bias_gradient<T, G>(launch.context(), rows, columns, whole.data(), exact.data()));
        if (largest(expected) <= 256) CHECK(exact.read() == expected);
      }
    }
  };
  body(float{}, float{});
  body(bf16{}, float{});
  body(fp16{}, float{});
  body(bf16{}, bf16{});
}

TEST_CASE("sums, scaling and casts on the GPU round once") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const std::int64_t n : {1, 17, 1000, 4096}) {
      CAPTURE(n);
      const Values a = operands<T>(n, 1), b = operands<T>(n, 2);
      Values sum(a.size()), scaled(a.size());
      for (std::size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i], scaled[i] = 0.75 * a[i];
      Launch launch;
      Buffer<T> left(a), right(b), out(n);
      require(add<T>(launch.context(), n, out.data(), left.data(), right.data()));
      CHECK(out.read() == rounded<T>(sum));
      Buffer<float> wide(n);
      require(cast<T, float>(launch.context(), n, left.data(), wide.data()));
      CHECK(wide.read() == a);
      Buffer<float> fine(random_values(n, 9));
      Buffer<bf16> brain(n);
      Buffer<fp16> half(n);
      require(cast<float, bf16>(launch.context(), n, fine.data(), brain.data()));
      require(cast<float, fp16>(launch.context(), n, fine.data(), half.data()));
      CHECK(brain.read() == rounded<bf16>(random_values(n, 9)));
      CHECK(half.read() == rounded<fp16>(random_values(n, 9)));
      require(scale<T>(launch.context(), n, left.data(), 0.75));
      CHECK(left.read() == rounded<T>(scaled));
    }
  });
}

}  // namespace
}  // namespace dtcalc::cuda::test
