#include "kernels/head_norm_rope.hpp"

#include <array>

#include "engine/cpu/head_norm_rope.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

std::vector<HeadNormRope> cases() {
  std::vector<HeadNormRope> list;
  for (const QkNorm norm : {QkNorm::none, QkNorm::per_head, QkNorm::full}) {
    for (const RopePairing pairing : {RopePairing::halves, RopePairing::neighbours}) {
      // Whole heads in packets, part of a head, odd pairs, no rotation.
      for (const auto& [heads, size, rotary] :
           {std::array<std::int64_t, 3>{4, 128, 128}, {3, 80, 32}, {2, 12, 6}, {2, 64, 0}, {1, 256, 256}}) {
        if (norm == QkNorm::none && rotary == 0) continue;
        HeadNormRope s{2, 17, heads, size};
        s.norm = norm, s.rotary_size = rotary, s.pairing = pairing, s.weight_offset = norm == QkNorm::per_head;
        list.push_back(s);
      }
    }
  }
  return list;
}

cpu::HeadNormRope on_cpu(const HeadNormRope& s) {
  cpu::HeadNormRope c{s.batch, s.sequence, s.heads, s.head_size};
  c.norm = s.norm, c.epsilon = s.epsilon, c.weight_offset = s.weight_offset, c.rotary_size = s.rotary_size,
  c.pairing = s.pairing;
  return c;
}

TEST_CASE("per-head norm and RoPE on the GPU, forward and backward") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const HeadNormRope& s : cases()) {
      CAPTURE(static_cast<int>(s.norm), static_cast<int>(s.pairing), s.heads, s.head_size, s.rotary_size);
      const std::int64_t n = s.batch * s.sequence * s.heads * s.head_size;
      const std::int64_t width = s.norm == QkNorm::full ? s.heads * s.head_size : s.head_size;
      const std::int64_t norms = s.batch * s.sequence * (s.norm == QkNorm::full ? 1 : s.heads);
      const Values x = operands<T>(n, 1), weight = operands<T>(width, 2), dy = operands<T>(n, 3);
      const Values sums(std::size_t(width), 0.5);
      const std::int64_t pairs = s.rotary_size / 2;
      Values cosine, sine;
      for (std::int64_t i = 0; i < s.sequence * pairs; ++i) {
        cosine.push_back(static_cast<float>(std::cos(0.37 * double(i))));
        sine.push_back(static_cast<float>(std::sin(0.37 * double(i))));
      }
      const auto run = [&](auto zero) {
        using U = decltype(zero);
        const cpu::HeadNormRope c = on_cpu(s);
        cpu::test::Team team(2, cpu::head_norm_rope_backward_workspace_bytes<U>(c));
        cpu::Context context = team.context();
        const auto in = cpu::test::converted<U>(x), w = cpu::test::converted<U>(weight),
                   cs = cpu::test::converted<U>(cosine), sn = cpu::test::converted<U>(sine);
        auto dx = cpu::test::converted<U>(dy), dw = cpu::test::converted<U>(sums);
        std::vector<U> y(in.size()), rstd(static_cast<std::size_t>(norms));
        cpu::head_norm_rope_forward<U>(context, c, in.data(), w.data(), cs.data(), sn.data(), y.data(), rstd.data());
        cpu::head_norm_rope_backward<U>(context, c, dx.data(), in.data(), w.data(), cs.data(), sn.data(), rstd.data(),
                                        dw.data());
        return std::vector<Values>{widened(y), widened(rstd), widened(dx), widened(dw)};
      };
      const auto exact = run(double{}), single = run(float{});
      Launch launch(head_norm_rope_backward_workspace_bytes(s));
      Buffer<T> in(x), w(weight), y(n), above(dy), dx(n);
      Buffer<float> cs(cosine), sn(sine), rstd(norms), dw(sums);
      require(head_norm_rope_forward<T>(launch.context(), s, in.data(), w.data(), cs.data(), sn.data(), y.data(),
                                        rstd.data()));
      check<T>("y", y.read(), exact[0], single[0]);
      if (s.norm != QkNorm::none) check<float>("rstd", rstd.read(), exact[1], single[1]);
      require(head_norm_rope_backward<T, float>(launch.context(), s, above.data(), dx.data(), in.data(), w.data(),
                                                cs.data(), sn.data(), rstd.data(), dw.data()));
      launch.check();
      check<T>("dx", dx.read(), exact[2], single[2]);
      if (s.norm != QkNorm::none) check<float>("dweight", dw.read(), exact[3], single[3]);
      // In place, forward and backward.
      require(head_norm_rope_backward<T, float>(launch.context(), s, above.data(), above.data(), in.data(), w.data(),
                                                cs.data(), sn.data(), rstd.data(), nullptr));
      CHECK(above.read() == dx.read());
      require(head_norm_rope_forward<T>(launch.context(), s, in.data(), w.data(), cs.data(), sn.data(), in.data(),
                                        nullptr));
      CHECK(in.read() == y.read());
    }
  });
}

}  // namespace
}  // namespace dtcalc::cuda::test
