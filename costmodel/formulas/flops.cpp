// FLOPs; see flops.hpp.
#include "costmodel/formulas/flops.hpp"

#include "costmodel/formulas/exact.hpp"
#include "costmodel/formulas/parameters.hpp"

namespace dtcalc::formulas {
namespace {

/// Forward products of one block, and of the head, exactly.
struct Products {
  Wide query, key, value, pairs, output, mlp_matrix, head;  // `pairs`: scores, and as many for the context
};

Products products(const Architecture& m, std::int64_t B, std::int64_t S, bool causal, HeadPositions head) {
  const Wide tokens = Wide{B} * S, D = m.D;
  const Wide square = causal ? Wide{S} * (S + 1) / 2 : Wide{S} * S;
  const Wide head_tokens = head == HeadPositions::none ? 0 : head == HeadPositions::last ? Wide{B} : tokens;
  Products f{};
  f.query = 2 * tokens * D * m.A * m.H;
  f.key = 2 * tokens * D * m.G * m.H;
  f.value = f.key;
  f.pairs = 2 * Wide{B} * m.A * m.H * square;
  f.output = f.query;
  f.mlp_matrix = 2 * tokens * D * m.F;
  f.head = 2 * head_tokens * D * m.V;
  return f;
}

Wide mlp_matrices(const Architecture& m) { return m.glu ? 3 : 2; }

Wide block_products(const Architecture& m, const Products& f) {
  return f.query + f.key + f.value + 2 * f.pairs + f.output + mlp_matrices(m) * f.mlp_matrix;
}

/// Forward and backward with everything trained.
Wide trained(const Architecture& m, const Products& f) { return 3 * (m.L * block_products(m, f) + f.head); }

/// Adds one product's backward pass to `sum` and tells whether its output needs a gradient.
bool linear_backward(Wide& sum, Wide forward, bool input_needs_gradient, bool frozen) {
  if (input_needs_gradient) sum += forward;
  if (!frozen) sum += forward;
  return input_needs_gradient || !frozen;
}

/// Backward products of one block whose input needs a gradient or not; updates `needs` to that of its output.
Wide block_backward(const Architecture& m, const Products& f, const Frozen& frozen, bool& needs) {
  Wide sum = 0;
  const bool normed = needs || (m.norms_per_block > 0 && !frozen.norms);
  const bool q = linear_backward(sum, f.query, normed, frozen.q);
  const bool k = linear_backward(sum, f.key, normed, frozen.k);
  const bool v = linear_backward(sum, f.value, normed, frozen.v);
  const bool probabilities = q || k;
  if (v) sum += f.pairs;              // dV = P^T dO
  if (probabilities) sum += f.pairs;  // dP = dO V^T
  if (q) sum += f.pairs;              // dQ = dS K
  if (k) sum += f.pairs;              // dK = dS^T Q
  const bool attention = linear_backward(sum, f.output, probabilities || v, frozen.o);

  const bool mlp_input = normed || (!m.parallel && attention);
  bool hidden = linear_backward(sum, f.mlp_matrix, mlp_input, frozen.up);
  if (m.glu && linear_backward(sum, f.mlp_matrix, mlp_input, frozen.gate)) hidden = true;
  const bool mlp = linear_backward(sum, f.mlp_matrix, hidden, frozen.down);
  needs = needs || attention || mlp;
  return sum;
}

}  // namespace

Flop forward_flops_essentials(std::int64_t B, std::int64_t S, std::int64_t N) { return flop(Wide{2} * B * S * N); }

Flop eq_4_2_model_flops(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, double E) {
  return flop(Wide{12} * B * D * L * S * (S + Wide{2} * D + width(E, D)));
}

Flop eq_4_3_model_flops(std::int64_t B, std::int64_t S, std::int64_t N) { return flop(Wide{6} * B * S * N); }

double model_flops_gpt(double B, double S, double D, double L) { return 72 * B * L * S * D * D * (1 + S / (6 * D)); }

double attention_share(double S, double D, double E, bool causal) { return S / ((2 + E) * D) / (causal ? 2 : 1); }

ForwardFlops forward_flops(const Architecture& m, std::int64_t B, std::int64_t S, bool causal, HeadPositions head) {
  const Products f = products(m, B, S, causal, head);
  ForwardFlops sum;
  sum.query = flop(m.L * f.query);
  sum.key_value = flop(m.L * (f.key + f.value));
  sum.scores = flop(m.L * f.pairs);
  sum.context = flop(m.L * f.pairs);
  sum.output = flop(m.L * f.output);
  sum.mlp = flop(m.L * mlp_matrices(m) * f.mlp_matrix);
  sum.head = flop(f.head);
  sum.total = flop(m.L * block_products(m, f) + f.head);
  return sum;
}

Flop backward_flops(const Architecture& m, std::int64_t B, std::int64_t S, bool causal, HeadPositions head,
                    const Frozen& frozen) {
  const Products f = products(m, B, S, causal, head);
  bool needs = !frozen.embedding || (m.pos == Positions::learned && !frozen.position);
  Wide sum = 0;
  // After the first block the need is settled: it never goes away, and equal blocks add the same again.
  for (std::int64_t block = 0; block < m.L; ++block) {
    const bool before = needs;
    const Wide one = block_backward(m, f, frozen, needs);
    if (needs == before) {
      sum += one * (m.L - block);
      break;
    }
    sum += one;
  }
  linear_backward(sum, f.head, needs || (m.final_norm && !frozen.norms), frozen.lm_head);
  return flop(sum);
}

Flop model_flops(const Architecture& m, std::int64_t B, std::int64_t S, bool causal, HeadPositions head) {
  return flop(trained(m, products(m, B, S, causal, head)));
}

Flop hardware_flops(const Architecture& m, std::int64_t B, std::int64_t S, bool causal, HeadPositions head,
                    Recomputation recomputation, bool flash) {
  const Products f = products(m, B, S, causal, head);
  Wide sum = trained(m, f);
  if (recomputation == Recomputation::full) sum += m.L * block_products(m, f);
  if (recomputation == Recomputation::selective) sum += 2 * f.pairs * m.L;
  if (flash) sum += m.L * f.pairs;
  return flop(sum);
}

}  // namespace dtcalc::formulas
