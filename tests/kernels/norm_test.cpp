#include "kernels/norm.hpp"

#include "engine/cpu/norm.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

struct Shape {
  std::int64_t rows, hidden;
};
// Every path: one row, one packet; a warp a row with one to eight packets a thread, a block a row; several rows of a
// block between two barriers, full and not; groups of warps; the widest of the backward (12288 of 16 bits) and behind
// it; the plain path (odd sizes, long rows); fewer rows than blocks, a few a block, and many.
const Shape shapes[] = {{1, 8},    {17, 24},  {1000, 64}, {300, 768}, {1, 1600}, {7, 1600},  {600, 1024}, {9, 2048},
                        {5, 4096}, {3, 8192}, {3, 12288}, {2, 16384}, {5, 77},   {2, 20000}, {20000, 24}};

cpu::NormOptions on_cpu(const NormOptions& o) { return {o.kind, o.epsilon, o.weight_offset}; }

TEST_CASE("norm on the GPU: forward with residual, in every precision and path") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const Shape s : shapes) {
      for (const NormOptions& options :
           {NormOptions{Norm::layer_norm, 1e-5, false}, NormOptions{Norm::rms_norm, 1e-6, true}}) {
        CAPTURE(s.rows, s.hidden, options.weight_offset);
        const bool layer = options.kind == Norm::layer_norm;
        const std::int64_t n = s.rows * s.hidden;
        const Values x = operands<T>(n, 1), delta = operands<T>(n, 2), gamma = operands<T>(s.hidden, 3),
                     beta = operands<T>(s.hidden, 4);
        Values sum(x.size());
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = x[i] + delta[i];
        sum = rounded<T>(sum);

        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          const std::vector<U> in = cpu::test::converted<U>(sum), g = cpu::test::converted<U>(gamma),
                               b = cpu::test::converted<U>(beta);
          std::vector<U> y(in.size()), mean(std::size_t(s.rows)), rstd(std::size_t(s.rows));
          cpu::residual_norm_forward<U>(context, on_cpu(options), s.rows, s.hidden, in.data(), nullptr, nullptr,
                                        g.data(), layer ? b.data() : nullptr, y.data(), mean.data(), rstd.data());
          return std::vector<Values>{widened(y), widened(mean), widened(rstd)};
        };
        const auto exact = run(double{}), single = run(float{});

        Launch launch;
        Buffer<T> dx(x), dd(delta), dg(gamma), db(beta), residual(n), y(n);
        Buffer<float> mean(s.rows), rstd(s.rows);
        require(residual_norm_forward<T>(launch.context(), options, s.rows, s.hidden, dx.data(), dd.data(),
                                         residual.data(), dg.data(), layer ? db.data() : nullptr, y.data(),
                                         layer ? mean.data() : nullptr, rstd.data()));
        CHECK(residual.read() == sum);
        check<T>("y", y.read(), exact[0], single[0]);
        if (layer) check<float>("mean", mean.read(), exact[1], single[1]);
        check<float>("rstd", rstd.read(), exact[2], single[2]);

        // In place, and without a residual: the same numbers.
        Buffer<T> place(sum);
        require(residual_norm_forward<T>(launch.context(), options, s.rows, s.hidden, place.data(), nullptr, nullptr,
                                         dg.data(), layer ? db.data() : nullptr, place.data(), nullptr, nullptr));
        CHECK(place.read() == y.read());
      }
    }
  });
}

TEST_CASE("norm on the GPU: backward, accumulated and into place") {
  DTCALC_NEED_GPU();
  const auto body = [](auto tag, auto gradient_tag) {
    using T = decltype(tag);
    using G = decltype(gradient_tag);
    for (const Shape s : shapes) {
      for (const Norm kind : {Norm::layer_norm, Norm::rms_norm}) {
        CAPTURE(s.rows, s.hidden, name_of<T>(), name_of<G>());
        const bool layer = kind == Norm::layer_norm;
        const NormOptions options{kind, 1e-5, false};
        const std::int64_t n = s.rows * s.hidden;
        const Values x = operands<T>(n, 1), dy = operands<T>(n, 2), gamma = operands<T>(s.hidden, 3),
                     before = operands<T>(n, 4), sums = operands<G>(s.hidden, 5);
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2, cpu::norm_backward_workspace_bytes<U>(s.rows, s.hidden));
          cpu::Context context = team.context();
          const std::vector<U> in = cpu::test::converted<U>(x), above = cpu::test::converted<U>(dy),
                               g = cpu::test::converted<U>(gamma);
          std::vector<U> dx = cpu::test::converted<U>(before), dgamma = cpu::test::converted<U>(sums), dbeta = dgamma,
                         y(in.size()), mean(std::size_t(s.rows)), rstd(std::size_t(s.rows));
          cpu::residual_norm_forward<U>(context, on_cpu(options), s.rows, s.hidden, in.data(), nullptr, nullptr,
                                        g.data(), nullptr, y.data(), mean.data(), rstd.data());
          cpu::norm_backward<U>(context, on_cpu(options), s.rows, s.hidden, above.data(), in.data(), g.data(),
                                layer ? mean.data() : nullptr, rstd.data(), dx.data(), true, dgamma.data(),
                                dbeta.data());
          return std::vector<Values>{widened(dx), widened(dgamma), widened(dbeta), widened(mean), widened(rstd)};
        };
        const auto exact = run(double{}), single = run(float{});

        Launch launch(norm_backward_workspace_bytes(s.rows, s.hidden));
        Buffer<T> dx(before), above(dy), in(x), g(gamma);
        Buffer<G> dgamma(sums), dbeta(sums);
        Buffer<float> mean(exact[3]), rstd(exact[4]);
        require(norm_backward<T, G>(launch.context(), options, s.rows, s.hidden, above.data(), in.data(), g.data(),
                                    layer ? mean.data() : nullptr, rstd.data(), dx.data(), true, dgamma.data(),
                                    dbeta.data()));
        launch.check();
        check<T>("dx", dx.read(), exact[0], single[0]);
        // 264 blocks add their rows one by one; their sums are joined in 9 + 5 additions (reduce.cuh).
        const double additions = std::is_same_v<G, float> ? static_cast<double>(s.rows) / 264 + 14 : 1;
        check<G>("dgamma", dgamma.read(), exact[1], single[1], additions);
        check<G>("dbeta", dbeta.read(), exact[2], single[2], additions);

        // Again: the same bits. Then dx over dy, frozen weights: no workspace needed.
        Buffer<G> again(sums);
        Buffer<T> second(before);
        require(norm_backward<T, G>(launch.context(), options, s.rows, s.hidden, above.data(), in.data(), g.data(),
                                    layer ? mean.data() : nullptr, rstd.data(), second.data(), true, again.data(),
                                    nullptr));
        CHECK(again.read() == dgamma.read());
        CHECK(second.read() == dx.read());
        Buffer<T> zero(Values(x.size(), 0.0));
        require(norm_backward<T, G>(launch.context(), options, s.rows, s.hidden, above.data(), in.data(), g.data(),
                                    layer ? mean.data() : nullptr, rstd.data(), zero.data(), false, nullptr, nullptr));
        require(norm_backward<T, G>({}, options, s.rows, s.hidden, above.data(), in.data(), g.data(),
                                    layer ? mean.data() : nullptr, rstd.data(), above.data(), false, nullptr, nullptr));
        CHECK(above.read() == zero.read());
      }
    }
  };
  body(float{}, float{});
  body(bf16{}, float{});
  body(fp16{}, float{});
  body(bf16{}, bf16{});
}

TEST_CASE("norm on the GPU: too little workspace is refused") {
  DTCALC_NEED_GPU();
  Buffer<float> x(Values(64, 1.0)), sums(Values(8, 0.0)), rstd(Values(8, 1.0));
  CHECK(norm_backward<float, float>({}, {}, 8, 8, x.data(), x.data(), nullptr, rstd.data(), rstd.data(), x.data(),
                                    false, sums.data(), nullptr) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace dtcalc::cuda::test
