#include "costmodel/scenario/text_tower.hpp"

namespace dtcalc {

Model text_model(const Model& model) {
  const TextTower& t = model.text;
  Model m = model;
  m.input = ModelInput::tokens;
  m.causal = true;
  m.class_token = m.embedding_norm = false;
  m.layers = t.layers;
  m.hidden_size = t.hidden_size;
  m.heads = m.kv_heads = t.heads;
  m.head_size = t.hidden_size / t.heads;
  m.mlp_size = t.mlp_size;
  m.vocabulary_size = t.vocabulary_size;
  m.max_sequence = t.max_sequence;
  m.position_rows = 0;
  return m;
}

}  // namespace dtcalc
