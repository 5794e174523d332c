// The parameters of a model, counted anew from its description: a second opinion beside the graph's inventory, for the
// tests of presets and of imported configurations.
#pragma once

#include <cstdint>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::test {

/// Trainable numbers of a resolved model: embeddings, blocks, final norm, head; E21 (4 D a block for two LayerNorms),
/// E69, E80.
inline std::int64_t parameter_count(const Model& m) {
  const std::int64_t d = m.hidden_size;
  const std::int64_t queries = m.heads * m.head_size;
  const std::int64_t keys = m.kv_heads * m.head_size;
  const auto linear = [](std::int64_t in, std::int64_t out, bool bias) { return in * out + (bias ? out : 0); };
  const std::int64_t norm = m.norm_bias ? 2 * d : d;
  const std::int64_t norms = m.block == BlockForm::parallel                ? (m.parallel_norms ? 2 : 1)
                             : m.norm_placement == NormPlacement::sandwich ? 4
                                                                           : 2;
  std::int64_t block = norms * norm + linear(d, queries, m.query_bias) + linear(d, keys, m.key_bias) +
                       linear(d, keys, m.value_bias) + linear(queries, d, m.attention_output_bias) +
                       linear(d, m.mlp_size, m.mlp_bias) + linear(m.mlp_size, d, m.mlp_bias);
  if (m.gated_mlp) block += linear(d, m.mlp_size, m.mlp_bias);
  if (m.qk_norm == QkNorm::per_head) block += 2 * m.head_size;
  if (m.qk_norm == QkNorm::full) block += queries + keys;
  std::int64_t total = m.vocabulary_size * d + m.layers * block;
  if (m.position == Position::learned) total += position_rows(m) * d;
  if (m.final_norm) total += norm;
  if (!m.tied_embeddings) total += m.vocabulary_size * d;
  if (m.head_bias) total += m.vocabulary_size;
  return total;
}

}  // namespace dtcalc::test
