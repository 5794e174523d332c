// Parameter counts; see parameters.hpp. Called by memory, inference and the registry.
#include "costmodel/formulas/parameters.hpp"

#include "costmodel/formulas/exact.hpp"

namespace dtcalc::formulas {
namespace {

Wide norm_vectors(NormKind norm) { return norm == NormKind::layernorm ? 2 : 1; }

Wide query_key_norms(const Architecture& m) {
  switch (m.query_key_norm) {
    case QueryKeyNorm::none:
      return 0;
    case QueryKeyNorm::per_head:
      return norm_vectors(m.norm) * 2 * m.H;
    case QueryKeyNorm::full:
      return norm_vectors(m.norm) * (m.A + m.G) * m.H;
  }
  return 0;
}

Wide block_weights(Wide D, Wide F) { return 4 * D * D + 2 * D * F; }

}  // namespace

Parameters eq_3_2_parameters(std::int64_t L, std::int64_t D, double E) {
  return parameters(block_weights(D, width(E, D)) * L);
}

Parameters eq_7_10_parameters_per_worker(std::int64_t L, std::int64_t D, double E, std::int64_t T) {
  return parameters(shard(block_weights(D, width(E, D)) * L, T));
}

Parameters eq_F_1_parameters(std::int64_t L, std::int64_t D, double E, std::int64_t V) {
  return parameters(block_weights(D, width(E, D)) * L + Wide{V} * D);
}

ParameterCount param_count(const Architecture& m) {
  const Wide D = m.D, F = m.F, AH = Wide{m.A} * m.H, GH = Wide{m.G} * m.H;
  const Wide query = D * AH + (m.qkv_bias ? AH : 0);
  const Wide key_value = 2 * (D * GH + (m.qkv_bias ? GH : 0));
  const Wide output = AH * D + (m.o_bias ? D : 0);
  const Wide inner = m.glu ? 2 : 1;
  const Wide mlp = (inner + 1) * D * F + (m.mlp_bias ? inner * F + D : 0);
  const Wide norms = m.norms_per_block * norm_vectors(m.norm) * D + query_key_norms(m);
  const Wide block = query + key_value + output + mlp + norms;
  const Wide embedding = m.V * D;
  const Wide position = m.pos == Positions::learned ? m.K * D : 0;
  const Wide final_norm = m.final_norm ? norm_vectors(m.norm) * D : 0;
  const Wide head = (m.tied ? 0 : m.V * D) + (m.head_bias ? m.V : 0);
  const Wide non_embedding = m.L * block + final_norm;

  ParameterCount count;
  count.query = parameters(query);
  count.key_value = parameters(key_value);
  count.output = parameters(output);
  count.attention = parameters(query + key_value + output);
  count.mlp = parameters(mlp);
  count.norms = parameters(norms);
  count.block = parameters(block);
  count.embedding = parameters(embedding);
  count.position = parameters(position);
  count.final_norm = parameters(final_norm);
  count.head = parameters(head);
  count.total = parameters(non_embedding + embedding + position + head);
  count.non_embedding = parameters(non_embedding);
  return count;
}

Parameters block_matrices(const Architecture& m) {
  const Wide D = m.D, AH = Wide{m.A} * m.H, GH = Wide{m.G} * m.H;
  return parameters(2 * D * (AH + GH) + (m.glu ? 3 : 2) * D * m.F);
}

Parameters head_matrix(const Architecture& m) { return parameters(Wide{m.V} * m.D); }

Parameters approximate_parameters(const Architecture& m) {
  return parameters(Wide{m.L} * block_matrices(m).value() + Wide{m.V} * m.D * (m.tied ? 1 : 2));
}

Parameters decoded_parameters(const Architecture& m) {
  const ParameterCount count = param_count(m);
  return count.total - count.position - (m.tied ? Parameters(0) : count.embedding);
}

}  // namespace dtcalc::formulas
