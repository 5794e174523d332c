#include "kernels/attention_naive.hpp"

#include "kernels/attention_support.hpp"

namespace dtcalc::cuda::test {
namespace {

/// Beside the cases of all attention kernels: rows of whole packets with everything that makes a logit special, in a
/// warp and in a block; a length that registers do not hold.
std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> all = attention_cases();
  const auto special = [](AttentionCase c) {
    c.options.softcap = 1.5, c.options.window = 71, c.options.dropout = 0.2, c.options.scale = 0.2;
    c.options.key = {7, 3, 1, 2, 1}, c.alibi = true;
    return c;
  };
  all.push_back(special({"everything, a warp a row", {1, 66, 136, 4, 2, 64}, {}}));
  all.push_back(special({"everything, a block a row", {1, 5, 2056, 4, 2, 64}, {}}));
  all.push_back({"longer than registers", {1, 3, 8200, 1, 1, 64}, {}});
  return all;
}

TEST_CASE("the softmax of naive attention on the GPU, forward and backward") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const AttentionCase& c : cases()) {
      CAPTURE(c.name);
      const Values slopes = slopes_of(c);
      const cpu::AttentionShape s = on_cpu(c.shape);
      const std::int64_t n = s.batch * s.heads * s.queries * s.keys;
      // Scores as queries and keys of this size would make them.
      const Values scores = operands<T>(n, 1, std::sqrt(double(s.head_size))), above = operands<T>(n, 2);
      Values held;  // probabilities as the GPU's forward stores them
      const auto run = [&](auto zero) {
        using U = decltype(zero);
        cpu::test::Team team(2);
        cpu::Context context = team.context();
        const cpu::AttentionOptions o = on_cpu(c.options, slopes);
        const auto raw = cpu::test::converted<U>(scores);
        std::vector<U> p(raw.size()), dropped = p, gradient = cpu::test::converted<U>(above);
        cpu::attention_softmax_forward<U>(context, s, o, raw.data(), p.data(), dropped.data());
        const auto used = cpu::test::converted<U>(held.empty() ? widened(p) : held);
        cpu::attention_softmax_backward<U>(context, s, o, used.data(), raw.data(), gradient.data());
        return std::vector<Values>{widened(p), widened(dropped), widened(gradient)};
      };
      const auto exact = run(double{}), single = run(float{});
      Buffer<float> alibi(slopes);
      AttentionOptions options = c.options;
      options.alibi_slopes = c.alibi ? alibi.data() : nullptr;
      Launch launch;
      Buffer<T> raw(scores), p(n), dropped(n), gradient(above), ds(n);
      require(attention_softmax_forward<T>(launch.context(), c.shape, options, raw.data(), p.data(), dropped.data()));
      // Exponents of up to 16 are rounded to float before 2^x: so many half units of the result's last place.
      const auto exponent = [](const Values& right) { return 16 * half_ulp<float>() * largest(right); };
      check<T>("probabilities", p.read(), exact[0], single[0], 1, exponent(exact[0]));
      if (options.dropout > 0) check<T>("dropped", dropped.read(), exact[1], single[1], 1, exponent(exact[1]));
      held = p.read();
      const auto exact_gradient = run(double{}), single_gradient = run(float{});
      require(attention_softmax_backward<T>(launch.context(), c.shape, options, p.data(), raw.data(), gradient.data(),
                                            ds.data()));
      check<T>("dscores", ds.read(), exact_gradient[2], single_gradient[2], 1, exponent(exact_gradient[2]));
      // In place.
      require(attention_softmax_backward<T>(launch.context(), c.shape, options, p.data(), raw.data(), gradient.data(),
                                            gradient.data()));
      CHECK(gradient.read() == ds.read());
      if (options.dropout == 0) {
        require(attention_softmax_forward<T>(launch.context(), c.shape, options, raw.data(), raw.data(), nullptr));
        CHECK(raw.read() == p.read());
      }
    }
  });
}

}  // namespace
}  // namespace dtcalc::cuda::test
