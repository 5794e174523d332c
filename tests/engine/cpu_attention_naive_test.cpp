// The naive attention kernels against the twin, their gradients against finite differences, their FLOPs.
#include "engine/cpu/attention_naive.hpp"

#include "engine/cpu_attention_support.hpp"

namespace dtcalc::cpu::test {
namespace {

template <class T>
struct Naive {
  std::vector<T> scores, probabilities, dropped, out, dq, dk, dv;
};

template <class T>
Naive<T> run_naive(Team& team, const AttentionShape& s, const AttentionOptions& o, const AttentionOperands& x,
                   bool backward) {
  Context context = team.context();
  const auto q = converted<T>(x.q), k = converted<T>(x.k), v = converted<T>(x.v), dout = converted<T>(x.dout);
  const std::vector<T> square(static_cast<std::size_t>(s.batch * s.heads * s.queries * s.keys));
  const bool dropout = o.dropout > 0;
  Naive<T> r{square, square, dropout ? square : std::vector<T>(), q, q, k, k};
  attention_scores(context, s, q.data(), k.data(), r.scores.data());
  attention_softmax_forward(context, s, o, r.scores.data(), r.probabilities.data(), r.dropped.data());
  const T* const weights = dropout ? r.dropped.data() : r.probabilities.data();
  attention_context(context, s, weights, v.data(), r.out.data());
  if (backward) {
    std::vector<T> gradient = square;
    attention_context_backward_probabilities(context, s, dout.data(), v.data(), gradient.data());
    attention_context_backward_value(context, s, weights, dout.data(), r.dv.data());
    const T* const scores = o.softcap > 0 ? r.scores.data() : nullptr;
    attention_softmax_backward(context, s, o, r.probabilities.data(), scores, gradient.data());
    attention_scores_backward_query(context, s, gradient.data(), k.data(), r.dq.data());
    attention_scores_backward_key(context, s, gradient.data(), q.data(), r.dk.data());
  }
  return r;
}

}  // namespace

TEST_CASE("naive attention equals its twin", "[engine][attention]") {
  Team team(2);
  for (AttentionCase c : attention_cases()) {
    CAPTURE(c.name);
    const auto slopes = alibi_slopes(c.shape.heads);
    if (c.alibi) c.options.alibi_slopes = slopes.data();
    const AttentionOperands x = attention_operands(c.shape);
    const AttentionTwin twin = attention_twin(c.shape, c.options, x);
    const auto got = run_naive<double>(team, c.shape, c.options, x, true);
    CHECK(distance(got.scores, twin.scores) < 1e-13);
    CHECK(distance(got.probabilities, twin.probabilities) < 1e-13);
    if (c.options.dropout > 0) CHECK(distance(got.dropped, twin.dropped) < 1e-13);
    CHECK(distance(got.out, twin.out) < 1e-13);
    CHECK(distance(got.dv, twin.dv) < 1e-13);
    const auto single = run_naive<float>(team, c.shape, c.options, x, true);
    CHECK(distance(single.probabilities, twin.probabilities) < attention_bound(c.shape));
    CHECK(distance(single.out, twin.out) < attention_bound(c.shape));
    CHECK(distance(single.dv, twin.dv) < attention_bound(c.shape));
    if (c.scores_matter()) {
      CHECK(distance(got.dq, twin.dq) < 1e-12);
      CHECK(distance(got.dk, twin.dk) < 1e-12);
      CHECK(distance(single.dq, twin.dq) < attention_gradient_bound(c.shape));
      CHECK(distance(single.dk, twin.dk) < attention_gradient_bound(c.shape));
    }
  }
}

TEST_CASE("the softmax may overwrite the scores", "[engine][attention]") {
  Team team(2);
  Context context = team.context();
  const AttentionCase c = attention_cases().at(7);
  const auto apart = run_naive<double>(team, c.shape, c.options, attention_operands(c.shape), false);
  std::vector<double> scores = apart.scores, none;
  attention_softmax_forward(context, c.shape, c.options, scores.data(), scores.data(), none.data());
  CHECK(scores == apart.probabilities);
}

TEST_CASE("gradients of naive attention equal finite differences", "[engine][attention]") {
  Team team(2);
  for (AttentionCase c : attention_cases()) {
    CAPTURE(c.name);
    const auto slopes = alibi_slopes(c.shape.heads);
    if (c.alibi) c.options.alibi_slopes = slopes.data();
    const AttentionOperands x = attention_operands(c.shape);
    const auto got = run_naive<double>(team, c.shape, c.options, x, true);
    const auto loss = [&](auto member) {
      return [&, member](const std::vector<double>& moved) {
        AttentionOperands y = x;
        y.*member = moved;
        return dot(x.dout, run_naive<double>(team, c.shape, c.options, y, false).out);
      };
    };
    if (c.scores_matter()) {
      require_gradient(loss(&AttentionOperands::q), x.q, got.dq);
      require_gradient(loss(&AttentionOperands::k), x.k, got.dk);
    }
    require_gradient(loss(&AttentionOperands::v), x.v, got.dv);
  }
}

TEST_CASE("naive attention counts the full square", "[engine][attention][flop]") {
  for (const AttentionCase& c : attention_cases()) {
    CAPTURE(c.name);
    const AttentionShape& s = c.shape;
    const auto product = static_cast<std::uint64_t>(2 * s.batch * s.heads * s.queries * s.keys * s.head_size);
    Team forward(2), both(2);
    run_naive<float>(forward, s, c.options, attention_operands(s), false);
    CHECK(forward.flop() == 2 * product);
    run_naive<float>(both, s, c.options, attention_operands(s), true);
    CHECK(both.flop() == 6 * product);
  }
}

TEST_CASE("naive attention has the same bits on any number of threads", "[engine][attention]") {
  Team one(1), three(3);
  const AttentionShape shape{.batch = 1, .queries = 300, .keys = 300, .heads = 2, .kv_heads = 1, .head_size = 24};
  AttentionOptions options;
  options.scale = 0.2, options.dropout = 0.1;
  const AttentionOperands x = attention_operands(shape);
  const auto a = run_naive<float>(one, shape, options, x, true), b = run_naive<float>(three, shape, options, x, true);
  CHECK(a.out == b.out);
  CHECK(a.dq == b.dq);
  CHECK(a.dk == b.dk);
  CHECK(a.dv == b.dv);
}

TEST_CASE("ALiBi slopes are the paper's", "[engine][attention]") {
  CHECK(alibi_slopes(8) == std::vector<double>{1. / 2, 1. / 4, 1. / 8, 1. / 16, 1. / 32, 1. / 64, 1. / 128, 1. / 256});
  CHECK(alibi_slopes(1) == std::vector<double>{1. / 256});
  // 6 heads: the four of 2^-2i, then the 1st and 3rd of the eight.
  CHECK(alibi_slopes(6) == std::vector<double>{1. / 4, 1. / 16, 1. / 64, 1. / 256, 1. / 2, 1. / 8});
  CHECK(alibi_slopes(12).size() == 12);
}

}  // namespace dtcalc::cpu::test
