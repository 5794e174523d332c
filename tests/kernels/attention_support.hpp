// Attention on the CPU in double, as exact as it gets and as the GPU's precision allows: with probabilities, their
// gradients and the output rounded to T where the tensor cores need them in T. Shared by the tests of both attentions.
#pragma once

#include <cmath>
#include <string>

#include "engine/cpu/attention_naive.hpp"
#include "kernels/attention.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {

struct AttentionCase {
  std::string name;
  AttentionShape shape;
  AttentionOptions options;
  bool alibi = false;
};

inline cpu::AttentionShape on_cpu(const AttentionShape& s) {
  return {s.batch, s.queries, s.keys, s.heads, s.kv_heads, s.head_size};
}
inline cpu::AttentionOptions on_cpu(const AttentionOptions& o, const Values& slopes) {
  return {o.scale,
          o.softcap,
          slopes.empty() ? nullptr : slopes.data(),
          o.causal,
          o.window,
          o.dropout,
          {o.key.seed, o.key.step, o.key.micro_batch, o.key.layer, o.key.op}};
}

/// ALiBi's slopes as the GPU holds them, in float; empty when the case has none.
inline Values slopes_of(const AttentionCase& c) {
  return c.alibi ? rounded<float>(cpu::alibi_slopes(c.shape.heads)) : Values();
}

struct AttentionOperands {
  Values q, k, v, dout;
};
template <class T>
AttentionOperands attention_operands(const AttentionShape& s) {
  const std::int64_t queries = s.batch * s.queries * s.heads * s.head_size;
  const std::int64_t keys = s.batch * s.keys * s.kv_heads * s.head_size;
  return {operands<T>(queries, 1), operands<T>(keys, 2), operands<T>(keys, 3), operands<T>(queries, 4)};
}

struct AttentionResults {
  Values scores, probabilities, dropped, dprobabilities, dscores, out, log_sum_exp, dq, dk, dv;
};

/// T = double: everything exact. Otherwise what a kernel may round is rounded to T.
template <class T>
AttentionResults attention_on_cpu(const AttentionCase& c, const AttentionOperands& x) {
  const auto round_to = [](const Values& values) {
    if constexpr (std::is_same_v<T, double>) {
      return values;
    } else {
      return rounded<T>(values);
    }
  };
  const Values slopes = slopes_of(c);
  const cpu::AttentionShape s = on_cpu(c.shape);
  const cpu::AttentionOptions o = on_cpu(c.options, slopes);
  cpu::test::Team team(2);
  cpu::Context context = team.context();
  const std::size_t square = static_cast<std::size_t>(s.batch * s.heads * s.queries * s.keys);
  AttentionResults r;
  r.scores.resize(square), r.probabilities.resize(square), r.dropped.resize(square), r.dprobabilities.resize(square);
  cpu::attention_scores<double>(context, s, x.q.data(), x.k.data(), r.scores.data());
  cpu::attention_softmax_forward<double>(context, s, o, r.scores.data(), r.probabilities.data(), r.dropped.data());
  if (o.dropout == 0) r.dropped = r.probabilities;
  r.out.resize(x.q.size()), r.dq = r.out, r.dk.resize(x.k.size()), r.dv = r.dk;
  cpu::attention_context<double>(context, s, round_to(r.dropped).data(), x.v.data(), r.out.data());
  r.out = round_to(r.out);
  cpu::attention_context_backward_value<double>(context, s, round_to(r.dropped).data(), x.dout.data(), r.dv.data());
  cpu::attention_context_backward_probabilities<double>(context, s, x.dout.data(), x.v.data(), r.dprobabilities.data());
  r.dscores = r.dprobabilities;
  cpu::attention_softmax_backward<double>(context, s, o, r.probabilities.data(), r.scores.data(), r.dscores.data());

  // Statistics, and what the rounding of the output changes in the sums of dout · out.
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t a = 0; a < s.heads; ++a) {
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const std::int64_t row = (b * s.heads + a) * s.queries + i;
        const auto at = [&](std::int64_t j) { return static_cast<std::size_t>(row * s.keys + j); };
        const cpu::KeyRange seen = cpu::visible_keys(i, s.queries, s.keys, o.causal, o.window);
        const auto logit = [&](std::int64_t j) {
          double z = o.scale * r.scores[at(j)];
          if (o.softcap > 0) z = o.softcap * std::tanh(z / o.softcap);
          return slopes.empty() ? z : z - slopes[static_cast<std::size_t>(a)] * double(i + s.keys - s.queries - j);
        };
        double sum = 0, exact = 0, held = 0;
        for (std::int64_t j = seen.begin; j < seen.end; ++j) sum += std::exp(logit(j));
        r.log_sum_exp.push_back(std::log(sum));
        if constexpr (!std::is_same_v<T, double>) {
          const std::size_t q = static_cast<std::size_t>(((b * s.queries + i) * s.heads + a) * s.head_size);
          for (std::size_t h = 0; h < std::size_t(s.head_size); ++h) held += x.dout[q + h] * r.out[q + h];
          for (std::int64_t j = seen.begin; j < seen.end; ++j) exact += r.dropped[at(j)] * r.dprobabilities[at(j)];
          for (std::int64_t j = seen.begin; j < seen.end; ++j) {
            const double t = o.softcap > 0 ? std::tanh(o.scale * r.scores[at(j)] / o.softcap) : 0;
            r.dscores[at(j)] -= r.probabilities[at(j)] * (held - exact) * o.scale * (1 - t * t);
          }
        }
      }
    }
  }
  r.dscores = round_to(r.dscores);
  cpu::attention_scores_backward_query<double>(context, s, r.dscores.data(), x.k.data(), r.dq.data());
  cpu::attention_scores_backward_key<double>(context, s, r.dscores.data(), x.q.data(), r.dk.data());
  r.dq = round_to(r.dq), r.dk = round_to(r.dk), r.dv = round_to(r.dv);
  return r;
}

inline std::vector<AttentionCase> attention_cases() {
  const auto make = [](std::string name, AttentionShape shape, auto change) {
    AttentionCase c{std::move(name), shape, {}};
    c.options.scale = 1 / std::sqrt(static_cast<double>(shape.head_size));
    change(c);
    return c;
  };
  const auto plain = [](AttentionCase&) {};
  return {
      make("one position", {1, 1, 1, 2, 2, 64}, plain),
      make("17 positions, heads of 80", {2, 17, 17, 3, 1, 80}, plain),
      make("1000 positions, heads of 80", {1, 1000, 1000, 2, 1, 80}, plain),
      make("whole tiles of 64", {2, 256, 256, 2, 2, 64}, plain),
      make("heads of 96, grouped", {1, 200, 200, 6, 2, 96}, plain),
      make("heads of 128", {1, 333, 333, 4, 2, 128}, plain),
      make("heads of 256", {1, 150, 150, 2, 1, 256}, plain),
      make("heads of 256, not causal", {1, 130, 70, 2, 2, 256}, [](auto& c) { c.options.causal = false; }),
      make("heads of 16, no tensor core", {2, 65, 65, 4, 2, 16}, plain),
      make("heads of 72, no tensor core", {1, 40, 40, 2, 1, 72}, plain),
      make("not causal", {2, 130, 70, 2, 1, 64}, [](auto& c) { c.options.causal = false; }),
      make("window", {1, 300, 300, 2, 1, 64}, [](auto& c) { c.options.window = 50; }),
      make("window, not causal", {1, 200, 200, 2, 2, 128},
           [](auto& c) { c.options.window = 33, c.options.causal = false; }),
      make("chunk of a prefill", {2, 70, 333, 4, 2, 64}, plain),
      make("decode", {3, 1, 137, 4, 2, 128}, plain),
      make("more queries than keys", {1, 150, 40, 2, 2, 64}, plain),
      make("more queries than keys, heads of 128", {1, 300, 40, 2, 1, 128}, plain),
      make("whole tiles of 128", {1, 512, 512, 2, 1, 128}, plain),
      make("several tiles of 192, grouped", {1, 577, 577, 4, 1, 64}, plain),
      make("many keys, not causal", {1, 65, 700, 3, 1, 64}, [](auto& c) { c.options.causal = false; }),
      make("many keys, not causal, heads of 128", {2, 129, 513, 2, 2, 128}, [](auto& c) { c.options.causal = false; }),
      make("more pieces than multiprocessors", {25, 200, 200, 4, 2, 64}, plain),
      make("blocks of keys behind one another", {30, 300, 300, 3, 3, 64}, plain),
      make("blocks of keys behind one another, heads of 128", {20, 300, 300, 4, 4, 128}, plain),
      make("softcap", {1, 140, 140, 2, 1, 128}, [](auto& c) { c.options.softcap = 2, c.options.scale = 0.3; }),
      make("alibi", {1, 140, 140, 6, 3, 64}, [](auto& c) { c.alibi = true; }),
      make("negative scale", {1, 70, 70, 2, 1, 64}, [](auto& c) { c.options.scale = -0.2; }),
      make("dropout, odd keys", {2, 99, 99, 2, 1, 64},
           [](auto& c) {
             c.options.dropout = 0.3, c.options.key = {7, 3, 1, 2, 1};
           }),
      make("everything", {2, 100, 147, 6, 2, 80},
           [](auto& c) {
             c.options.softcap = 1.5, c.options.window = 71, c.options.dropout = 0.2;
             c.options.key = {7, 3, 1, 2, 1}, c.alibi = true;
           }),
      make("everything, heads of 256", {1, 100, 147, 2, 1, 256},
           [](auto& c) {
             c.options.softcap = 1.5, c.options.window = 71, c.options.dropout = 0.2;
             c.options.key = {7, 3, 1, 2, 1}, c.alibi = true;
           }),
  };
}

}  // namespace dtcalc::cuda::test
