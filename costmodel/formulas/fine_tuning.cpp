#include "costmodel/formulas/fine_tuning.hpp"

#include <initializer_list>

#include "costmodel/formulas/exact.hpp"
#include "costmodel/formulas/parameters.hpp"

namespace dtcalc::formulas {
namespace {

/// One matrix (n, m) over t tokens.
struct Matrix {
  Wide n, m;
  bool adapted;
  Wide size() const { return n * m; }
  Wide low_rank() const { return n + m; }
};

struct Matrices {
  Matrix q, k, v, o, gate, up, down;
};

Matrices matrices(const Architecture& a, const Adapted& on) {
  const Wide heads = Wide{a.A} * a.H, groups = Wide{a.G} * a.H;
  return {{heads, a.D, on.q},
          {groups, a.D, on.k},
          {groups, a.D, on.v},
          {a.D, heads, on.o},
          {a.glu ? a.F : 0, a.glu ? a.D : 0, a.glu && on.gate},
          {a.F, a.D, on.up},
          {a.D, a.F, on.down}};
}

/// Input gradient of W where something upstream is trained; of the adapter dB, dh and dA, and dx likewise. Returns
/// whether the output's gradient is needed.
bool backward(Wide& sum, const Matrix& w, Wide t, std::int64_t r, bool upstream) {
  if (upstream) sum += 2 * t * w.size();
  if (w.adapted) sum += 2 * t * r * (w.n + w.n + w.m + (upstream ? w.m : 0));
  return upstream || w.adapted;
}

Wide block_backward(const Architecture& a, const Matrices& w, Wide B, Wide S, std::int64_t r, bool& upstream) {
  const Wide t = B * S, pairs = 2 * B * a.A * S * S * a.H;
  Wide sum = 0;
  const bool q = backward(sum, w.q, t, r, upstream), k = backward(sum, w.k, t, r, upstream);
  const bool v = backward(sum, w.v, t, r, upstream);
  sum += pairs * (v + (q || k) + q + k);  // dV, dP, dQ, dK
  const bool attention = backward(sum, w.o, t, r, q || k || v);
  const bool mlp_input = upstream || (!a.parallel && attention);
  bool hidden = backward(sum, w.up, t, r, mlp_input);
  if (a.glu) hidden = backward(sum, w.gate, t, r, mlp_input) || hidden;
  const bool mlp = backward(sum, w.down, t, r, hidden);
  upstream = upstream || attention || mlp;
  return sum;
}

}  // namespace

Parameters adapter_parameters(const Architecture& a, std::int64_t rank, const Adapted& adapted) {
  const Matrices w = matrices(a, adapted);
  Wide sum = 0;
  for (const Matrix* m : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
    if (m->adapted) sum += rank * m->low_rank();
  return parameters(a.L * sum);
}

Flop adapter_flops(const Architecture& a, std::int64_t B, std::int64_t S, std::int64_t rank, const Adapted& adapted) {
  const Matrices w = matrices(a, adapted);
  const Wide t = Wide{B} * S;
  Wide forward = 2 * t * (Wide{a.L} * block_matrices(a).value() + head_matrix(a).value()) +
                 2 * t * adapter_parameters(a, rank, adapted).value() + Wide{4} * a.L * B * a.A * S * S * a.H;
  bool upstream = false;
  for (std::int64_t block = 0; block < a.L; ++block) forward += block_backward(a, w, B, S, rank, upstream);
  if (upstream) forward += 2 * t * head_matrix(a).value();
  return flop(forward);
}

Flop frozen_weights_flops(std::int64_t B, std::int64_t S, std::int64_t N) { return flop(Wide{4} * B * S * N); }

Flop dpo_flops(std::int64_t pairs, std::int64_t S, std::int64_t N) { return flop(Wide{16} * pairs * S * N); }

Flop ppo_flops(std::int64_t sequences, std::int64_t S, std::int64_t N) { return flop(Wide{22} * sequences * S * N); }

}  // namespace dtcalc::formulas
