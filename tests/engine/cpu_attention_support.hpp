// The slow twin of both attentions, in double with plain loops, and the cases that all tests of attention run through.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/attention.hpp"
#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {

struct AttentionCase {
  std::string name;
  AttentionShape shape;
  AttentionOptions options;
  bool alibi = false;

  /// Whether the exact gradients of q and k are not identically zero (no softmax over a single key).
  bool scores_matter() const { return shape.keys > 1 && options.window != 1; }
};

inline std::vector<AttentionCase> attention_cases() {
  const auto shape = [](std::int64_t b, std::int64_t s, std::int64_t k, std::int64_t a, std::int64_t g,
                        std::int64_t h) {
    return AttentionShape{.batch = b, .queries = s, .keys = k, .heads = a, .kv_heads = g, .head_size = h};
  };
  const auto options = [](double scale) {
    AttentionOptions o;
    o.scale = scale;
    return o;
  };
  const auto with = [&](double scale, auto change) {
    AttentionOptions o = options(scale);
    change(o);
    return o;
  };
  const DropoutKey key{7, 3, 1, 2, 1};
  const auto dropout = [&](AttentionOptions& o) { o.dropout = 0.3, o.key = key; };
  const auto everything = [&](AttentionOptions& o) { o.softcap = 1.5, o.window = 21, o.dropout = 0.2, o.key = key; };
  return {
      {"one position", shape(1, 1, 1, 1, 1, 1), options(0.7)},
      {"three positions", shape(1, 3, 3, 2, 2, 5), options(0.7)},
      {"multi-head", shape(2, 65, 65, 3, 3, 16), options(0.25)},
      {"head of 80", shape(1, 17, 17, 2, 1, 80), options(0.1)},
      {"grouped", shape(2, 33, 33, 8, 2, 8), options(0.5)},
      {"multi-query", shape(1, 40, 40, 4, 1, 8), options(0.5)},
      {"not causal", shape(1, 20, 31, 2, 2, 8), with(0.5, [](auto& o) { o.causal = false; })},
      {"window", shape(1, 65, 65, 2, 1, 8), with(0.5, [](auto& o) { o.window = 9; })},
      {"window, not causal", shape(1, 30, 30, 2, 1, 8), with(0.5, [](auto& o) { o.causal = false, o.window = 6; })},
      {"window of one", shape(1, 19, 19, 1, 1, 4), with(0.5, [](auto& o) { o.window = 1; })},
      {"chunk of a prefill", shape(2, 17, 50, 4, 2, 8), options(0.5)},
      {"decode", shape(3, 1, 37, 4, 2, 8), options(0.5)},
      {"more queries than keys", shape(1, 21, 13, 2, 2, 4), options(0.5)},
      {"softcap", shape(1, 33, 33, 4, 2, 8), with(1.5, [](auto& o) { o.softcap = 2; })},
      {"alibi", shape(1, 33, 33, 6, 3, 8), options(0.5), true},
      {"dropout", shape(2, 33, 33, 4, 2, 8), with(0.5, dropout)},
      {"everything", shape(2, 30, 47, 6, 2, 12), with(1.2, everything), true},
  };
}

struct AttentionOperands {
  std::vector<double> q, k, v, dout;
};
inline AttentionOperands attention_operands(const AttentionShape& s) {
  const std::int64_t queries = s.batch * s.queries * s.heads * s.head_size;
  const std::int64_t keys = s.batch * s.keys * s.kv_heads * s.head_size;
  return {random_values(queries, 1), random_values(keys, 2), random_values(keys, 3), random_values(queries, 4)};
}

/// Everything attention computes: scores to dropped (B, A, S, K), out (B, S, A, H), log_sum_exp (B, A, S), gradients.
struct AttentionTwin {
  std::vector<double> scores, probabilities, dropped, out, log_sum_exp, dq, dk, dv;
};

/// (1.4)-(1.6) with E02 and (2.10), (2.11) on the full square, one query at a time.
inline AttentionTwin attention_twin(const AttentionShape& s, const AttentionOptions& o, const AttentionOperands& x) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const std::vector<double> square(size(s.batch * s.heads * s.queries * s.keys)), like_q(x.q.size()),
      like_k(x.k.size());
  AttentionTwin f{square, square, square, like_q, std::vector<double>(size(s.batch * s.heads * s.queries)),
                  like_q, like_k, like_k};
  const DropoutStream stream(o.key);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t a = 0; a < s.heads; ++a) {
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const std::int64_t row = ((b * s.heads + a) * s.queries + i) * s.keys, position = i + s.keys - s.queries;
        const std::size_t q = size(((b * s.queries + i) * s.heads + a) * s.head_size);
        const auto k = [&](std::int64_t j) {
          return size(((b * s.keys + j) * s.kv_heads + a / (s.heads / s.kv_heads)) * s.head_size);
        };
        std::vector<double> mask(size(s.keys), 1), dp(size(s.keys));
        if (o.dropout > 0) fill_dropout_mask(stream, o.dropout, row, s.keys, mask.data());
        double sum = 0, along = 0;
        for (std::int64_t j = 0; j < s.keys; ++j) {
          double score = 0;
          for (std::size_t h = 0; h < size(s.head_size); ++h) score += x.q[q + h] * x.k[k(j) + h];
          double logit = o.scale * score;
          if (o.softcap > 0) logit = o.softcap * std::tanh(logit / o.softcap);
          if (o.alibi_slopes != nullptr) logit -= o.alibi_slopes[a] * static_cast<double>(position - j);
          const bool seen = (!o.causal || j <= position) && (o.window == 0 || j > position - o.window);
          f.scores[size(row + j)] = score;
          f.probabilities[size(row + j)] = seen ? std::exp(logit) : 0;
          sum += f.probabilities[size(row + j)];
        }
        f.log_sum_exp[size(row / s.keys)] = std::log(sum);
        for (std::int64_t j = 0; j < s.keys; ++j) {
          f.probabilities[size(row + j)] /= sum > 0 ? sum : 1;
          f.dropped[size(row + j)] = f.probabilities[size(row + j)] * mask[size(j)];
          for (std::size_t h = 0; h < size(s.head_size); ++h) {
            f.out[q + h] += f.dropped[size(row + j)] * x.v[k(j) + h];
            f.dv[k(j) + h] += f.dropped[size(row + j)] * x.dout[q + h];
            dp[size(j)] += mask[size(j)] * x.dout[q + h] * x.v[k(j) + h];
          }
          along += dp[size(j)] * f.probabilities[size(row + j)];
        }
        for (std::int64_t j = 0; j < s.keys; ++j) {
          double ds = f.probabilities[size(row + j)] * (dp[size(j)] - along) * o.scale;
          if (o.softcap > 0) ds *= 1 - std::pow(std::tanh(o.scale * f.scores[size(row + j)] / o.softcap), 2);
          for (std::size_t h = 0; h < size(s.head_size); ++h) {
            f.dq[q + h] += ds * x.k[k(j) + h];
            f.dk[k(j) + h] += ds * x.q[q + h];
          }
        }
      }
    }
  }
  return f;
}

/// For float: scores carry the roundings of H products (operands below 1, scale below 1.5), exp turns their absolute
/// error into a relative one, sums over K keys add theirs, 16 are left for the rest.
inline double attention_bound(const AttentionShape& s) { return rounding<float>(2 * s.head_size + s.keys + 16); }
/// dS = P (dP - sum P dP) cancels: its error is that of dP, which is up to H times an operand.
inline double attention_gradient_bound(const AttentionShape& s) {
  return attention_bound(s) * static_cast<double>(s.head_size);
}

}  // namespace dtcalc::cpu::test
