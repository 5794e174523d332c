// Blocked attention against the twin and against finite differences; tiles visited and FLOPs counted.
#include "engine/cpu/attention_flash.hpp"

#include "engine/cpu_attention_support.hpp"

namespace dtcalc::cpu::test {
namespace {

template <class T>
struct Flash {
  std::vector<T> out, log_sum_exp, dq, dk, dv;
};

/// `team` lends its threads and its counter; the workspace has the bytes that the kernel states.
template <class T>
Flash<T> run_flash(Team& team, const AttentionShape& s, const AttentionOptions& o, const FlashTiles& tiles,
                   const AttentionOperands& x, bool backward) {
  Context context = team.context();
  const auto q = converted<T>(x.q), k = converted<T>(x.k), v = converted<T>(x.v), dout = converted<T>(x.dout);
  Flash<T> r{q, std::vector<T>(static_cast<std::size_t>(s.batch * s.heads * s.queries)), q, k, k};
  Team forward(1, flash_forward_workspace_bytes<T>(s, tiles, context.pool.threads()));
  context.workspace = forward.context().workspace;
  flash_forward(context, s, o, tiles, q.data(), k.data(), v.data(), r.out.data(), r.log_sum_exp.data());
  if (backward) {
    Team scratch(1, flash_backward_workspace_bytes<T>(s, tiles, context.pool.threads()));
    context.workspace = scratch.context().workspace;
    flash_backward(context, s, o, tiles, q.data(), k.data(), v.data(), r.out.data(), r.log_sum_exp.data(), dout.data(),
                   r.dq.data(), r.dk.data(), r.dv.data());
  }
  return r;
}

const std::vector<FlashTiles> tilings = {{1, 1}, {4, 7}, {16, 8}, {8, 16}, {64, 64}, {128, 32}};

}  // namespace

TEST_CASE("flash attention equals the full softmax", "[engine][attention][flash]") {
  Team team(2);
  for (AttentionCase c : attention_cases()) {
    const auto slopes = alibi_slopes(c.shape.heads);
    if (c.alibi) c.options.alibi_slopes = slopes.data();
    const AttentionOperands x = attention_operands(c.shape);
    const AttentionTwin twin = attention_twin(c.shape, c.options, x);
    for (const FlashTiles& tiles : tilings) {
      CAPTURE(c.name, tiles.query, tiles.key);
      const auto got = run_flash<double>(team, c.shape, c.options, tiles, x, true);
      for (std::size_t i = 0; i < got.log_sum_exp.size(); ++i) {
        // Equal covers -inf, of a query that sees no key.
        const double expected = twin.log_sum_exp[i];
        CHECK((got.log_sum_exp[i] == expected || std::abs(got.log_sum_exp[i] - expected) < 1e-13));
      }
      CHECK(distance(got.out, twin.out) < 1e-12);
      CHECK(distance(got.dv, twin.dv) < 1e-12);
      const auto single = run_flash<float>(team, c.shape, c.options, tiles, x, true);
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
}

TEST_CASE("gradients of flash attention equal finite differences", "[engine][attention][flash]") {
  Team team(2);
  const FlashTiles tiles{16, 8};
  AttentionCase c = attention_cases().back();  // every option at once
  const auto slopes = alibi_slopes(c.shape.heads);
  c.options.alibi_slopes = slopes.data();
  const AttentionOperands x = attention_operands(c.shape);
  const auto got = run_flash<double>(team, c.shape, c.options, tiles, x, true);
  const auto loss = [&](auto member) {
    return [&, member](const std::vector<double>& moved) {
      AttentionOperands y = x;
      y.*member = moved;
      return dot(x.dout, run_flash<double>(team, c.shape, c.options, tiles, y, false).out);
    };
  };
  require_gradient(loss(&AttentionOperands::q), x.q, got.dq);
  require_gradient(loss(&AttentionOperands::k), x.k, got.dk);
  require_gradient(loss(&AttentionOperands::v), x.v, got.dv);
}

TEST_CASE("flash attention visits exactly the tiles with a visible pair", "[engine][attention][flash][flop]") {
  for (const AttentionCase& c : attention_cases()) {
    for (const FlashTiles& tiles : tilings) {
      CAPTURE(c.name, tiles.query, tiles.key);
      const AttentionShape& s = c.shape;
      const auto seen = [&](std::int64_t query, std::int64_t key) {
        const std::int64_t position = query + s.keys - s.queries;
        return (!c.options.causal || key <= position) && (c.options.window == 0 || key > position - c.options.window);
      };
      std::int64_t pairs = 0;
      for (std::int64_t i = 0; i < s.queries; i += tiles.query) {
        for (std::int64_t j = 0; j < s.keys; j += tiles.key) {
          const std::int64_t rows = std::min(tiles.query, s.queries - i), columns = std::min(tiles.key, s.keys - j);
          bool any = false;
          for (std::int64_t pair = 0; pair < rows * columns; ++pair) {
            any = any || seen(i + pair / columns, j + pair % columns);
          }
          if (any) pairs += rows * columns;
        }
      }
      CHECK(flash_tile_pairs(s.queries, s.keys, tiles.query, tiles.key, c.options.causal, c.options.window) == pairs);

      const auto product = static_cast<std::uint64_t>(2 * s.batch * s.heads * s.head_size * pairs);
      Team forward(2), both(2);
      run_flash<float>(forward, s, c.options, tiles, attention_operands(s), false);
      CHECK(forward.flop() == 2 * product);
      run_flash<float>(both, s, c.options, tiles, attention_operands(s), true);
      CHECK(both.flop() == (2 + 5) * product);
    }
  }
}

TEST_CASE("flash attention has the same bits on any number of threads", "[engine][attention][flash]") {
  Team one(1), three(3);
  const AttentionShape shape{.batch = 2, .queries = 130, .keys = 130, .heads = 4, .kv_heads = 2, .head_size = 24};
  AttentionOptions options;
  options.scale = 0.2, options.dropout = 0.1;
  const AttentionOperands x = attention_operands(shape);
  const FlashTiles tiles{32, 48};
  const auto a = run_flash<float>(one, shape, options, tiles, x, true);
  const auto b = run_flash<float>(three, shape, options, tiles, x, true);
  CHECK(a.out == b.out);
  CHECK(a.log_sum_exp == b.log_sum_exp);
  CHECK(a.dq == b.dq);
  CHECK(a.dk == b.dk);
  CHECK(a.dv == b.dv);
}

TEST_CASE("flash attention survives scores far outside exp's range", "[engine][attention][flash]") {
  Team team(2);
  const AttentionShape shape{.batch = 1, .queries = 40, .keys = 40, .heads = 1, .kv_heads = 1, .head_size = 8};
  AttentionOptions options;
  options.scale = 300;  // logits up to some 1000: exp overflows without the running maximum
  const auto got = run_flash<float>(team, shape, options, {8, 8}, attention_operands(shape), false);
  for (const float value : got.out) CHECK(std::abs(value) <= 1.0F);
}

}  // namespace dtcalc::cpu::test
