#include "kernels/embedding.hpp"

#include "engine/cpu/embedding.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

struct Case {
  std::int64_t batch, sequence, hidden, vocabulary;
  int repeat;  ///< of every token this many in a row, roughly
};
// One position; odd sizes; more than two digits of the sort; runs over many pieces (one token only).
const Case cases[] = {{1, 1, 8, 1, 1},     {2, 17, 24, 97, 1},      {1, 1000, 80, 50257, 1},
                      {3, 333, 77, 11, 1}, {2, 600, 8, 300000, 50}, {2, 500, 40, 50257, 1000}};

cpu::EmbeddingShape on_cpu(const EmbeddingShape& s) {
  return {s.batch,
          s.sequence,
          s.hidden,
          s.first_position,
          s.scale,
          s.dropout,
          {s.key.seed, s.key.step, s.key.micro_batch, s.key.layer, s.key.op}};
}

std::vector<std::int32_t> tokens_of(const Case& c) {
  std::mt19937 generator(5);
  std::vector<std::int32_t> tokens;
  std::int32_t token = 0;
  for (std::int64_t i = 0; i < c.batch * c.sequence; ++i) {
    if (i % c.repeat == 0) token = static_cast<std::int32_t>(generator() % static_cast<unsigned>(c.vocabulary));
    tokens.push_back(token);
  }
  return tokens;
}

TEST_CASE("embedding on the GPU: forward, with positions and dropout") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const Case& c : cases) {
      if (c.vocabulary > 60000) continue;  // the table alone would take the time
      for (const double p : {0.0, 0.2}) {
        CAPTURE(c.sequence, c.hidden, c.vocabulary, p);
        const EmbeddingShape shape{c.batch, c.sequence, c.hidden, c.vocabulary, 2, 1.5, p, {7, 1, 0, 0, 0}};
        const Values table = operands<T>(c.vocabulary * c.hidden, 1),
                     positions = operands<T>((c.sequence + 2) * c.hidden, 2);
        const auto tokens = tokens_of(c);
        const std::int64_t n = c.batch * c.sequence * c.hidden;
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          const auto w = cpu::test::converted<U>(table), v = cpu::test::converted<U>(positions);
          std::vector<U> x(static_cast<std::size_t>(n));
          cpu::embedding_forward<U>(context, on_cpu(shape), tokens.data(), w.data(), v.data(), x.data());
          return widened(x);
        };
        Launch launch;
        Indices ids(tokens);
        Buffer<T> w(table), v(positions), x(n);
        require(embedding_forward<T>(launch.context(), shape, ids.data(), w.data(), v.data(), x.data()));
        check<T>("x", x.read(), run(double{}), run(float{}));
      }
    }
  });
}

TEST_CASE("embedding on the GPU: backward, the same bits every time") {
  DTCALC_NEED_GPU();
  const auto body = [](auto tag, auto gradient_tag) {
    using T = decltype(tag);
    using G = decltype(gradient_tag);
    for (const Case& c : cases) {
      for (const double p : {0.0, 0.2}) {
        if (c.vocabulary > 60000 && p > 0) continue;
        CAPTURE(c.sequence, c.hidden, c.vocabulary, p, name_of<T>(), name_of<G>());
        const EmbeddingShape shape{c.batch, c.sequence, c.hidden, c.vocabulary, 1, 1.5, p, {7, 1, 0, 0, 0}};
        const auto tokens = tokens_of(c);
        const Values dx = operands<T>(c.batch * c.sequence * c.hidden, 3);
        const Values before(std::size_t(c.vocabulary * c.hidden), 0.25),
            positions(std::size_t((c.sequence + 1) * c.hidden), 0.5);
        const auto run = [&](auto zero) {
          using U = decltype(zero);
          cpu::test::Team team(2);
          cpu::Context context = team.context();
          const auto above = cpu::test::converted<U>(dx);
          auto w = cpu::test::converted<U>(before), v = cpu::test::converted<U>(positions);
          cpu::embedding_backward<U>(context, on_cpu(shape), tokens.data(), above.data(), w.data(), v.data());
          return std::vector<Values>{widened(w), widened(v)};
        };
        const auto exact = run(double{}), single = run(float{});
        Launch launch(embedding_backward_workspace_bytes(shape));
        Indices ids(tokens);
        Buffer<T> above(dx);
        Buffer<G> w(before), v(positions), again(before);
        require(embedding_backward<T, G>(launch.context(), shape, ids.data(), above.data(), w.data(), v.data()));
        launch.check();
        check<G>("tokens", w.read(), exact[0], single[0]);
        check<G>("positions", v.read(), exact[1], single[1]);
        require(embedding_backward<T, G>(launch.context(), shape, ids.data(), above.data(), again.data(), nullptr));
        CHECK(again.read() == w.read());
      }
    }
  };
  body(float{}, float{});
  body(bf16{}, float{});
  body(bf16{}, bf16{});
}

}  // namespace
}  // namespace dtcalc::cuda::test
