// Families that descend from Llama: RMSNorm, gated MLP, rotary positions. Called through hf_families().
#include <algorithm>

#include "costmodel/scenario/hf_families.hpp"

namespace dtcalc::hf {

Model llama(HfReader& r) {
  Model m = llama_like(r);
  m.vocabulary_size = r.integer("vocab_size", 32000);
  m.mlp_size = r.integer("intermediate_size", 11008);
  m.kv_heads = r.integer("num_key_value_heads", 0);
  m.max_sequence = r.integer("max_position_embeddings", 2048);
  m.norm_epsilon = r.number("rms_norm_eps", 1e-6);
  m.activation = r.activation("hidden_act", "silu");
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  const bool attention_bias = r.boolean("attention_bias", false);
  set_attention_biases(m, attention_bias, attention_bias);
  m.mlp_bias = r.boolean("mlp_bias", false);
  read_head_size(r, m, 0);
  read_hf_rope(r, m, {});
  return m;
}

Model mistral(HfReader& r) {
  Model m = llama_like(r);
  m.vocabulary_size = r.integer("vocab_size", 32000);
  m.mlp_size = r.integer("intermediate_size", 14336);
  // null means one KV head per head, absent means 8
  m.kv_heads = r.has("num_key_value_heads") ? r.integer("num_key_value_heads", 0) : 8;
  m.max_sequence = r.integer("max_position_embeddings", 131072);
  m.norm_epsilon = r.number("rms_norm_eps", 1e-6);
  m.activation = r.activation("hidden_act", "silu");
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  m.sliding_window = r.has("sliding_window") ? r.integer("sliding_window", 0) : 4096;
  read_head_size(r, m, 0);
  read_hf_rope(r, m, {});
  return m;
}

namespace {

/// What Qwen2 and Qwen3 share; their sliding window is off unless use_sliding_window.
Model qwen(HfReader& r) {
  Model m = llama_like(r);
  m.vocabulary_size = r.integer("vocab_size", 151936);
  m.mlp_size = r.integer("intermediate_size", 22016);
  m.kv_heads = r.has("num_key_value_heads") ? r.integer("num_key_value_heads", 0) : 32;
  m.max_sequence = r.integer("max_position_embeddings", 32768);
  m.norm_epsilon = r.number("rms_norm_eps", 1e-6);
  m.activation = r.activation("hidden_act", "silu");
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  const std::int64_t window = r.has("sliding_window") ? r.integer("sliding_window", 0) : 4096;
  if (r.boolean("use_sliding_window", false)) m.sliding_window = window;
  const std::int64_t first_local = r.integer("max_window_layers", 28);
  const std::vector<std::string> types = r.texts("layer_types");
  if (!types.empty() && m.sliding_window == 0 &&
      std::find(types.begin(), types.end(), "sliding_attention") != types.end())
    r.refuse("layer_types", "has sliding layers while use_sliding_window is off", "let the two agree");
  else if (!types.empty())
    read_hf_layer_types(r, m, types);
  else if (m.sliding_window > 0 && first_local >= m.layers)
    m.sliding_window = 0;
  else if (m.sliding_window > 0 && first_local > 0)
    r.refuse("max_window_layers", "makes only the later layers local, which is not modelled",
             "use 0 or at least num_hidden_layers");
  return m;
}

}  // namespace

Model qwen2(HfReader& r) {
  Model m = qwen(r);
  set_attention_biases(m, true, false);
  read_head_size(r, m, 0);
  read_hf_rope(r, m, {});
  return m;
}

Model qwen3(HfReader& r) {
  Model m = qwen(r);
  const bool bias = r.boolean("attention_bias", false);
  set_attention_biases(m, bias, bias);
  m.qk_norm = QkNorm::per_head;
  read_head_size(r, m, 128);
  read_hf_rope(r, m, {});
  return m;
}

Model phi3(HfReader& r) {
  Model m = llama_like(r);
  m.hidden_size = r.integer("hidden_size", 3072);
  m.vocabulary_size = r.integer("vocab_size", 32064);
  m.mlp_size = r.integer("intermediate_size", 8192);
  m.kv_heads = r.integer("num_key_value_heads", 0);
  m.max_sequence = r.integer("max_position_embeddings", 4096);
  m.norm_epsilon = r.number("rms_norm_eps", 1e-5);
  m.activation = r.activation("hidden_act", "silu");
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  m.residual_dropout = r.number("resid_pdrop", 0);
  m.sliding_window = r.integer("sliding_window", 0);
  r.ignore({"embd_pdrop"});  // read by the configuration, used by no layer
  r.must_be("attention_bias", false, "is a bias that phi3 does not have");
  HfRopeKeys keys;
  keys.may_be_partial = true;
  keys.original_positions = 4096;
  read_hf_rope(r, m, keys);
  if (m.rope.scaling == RopeScaling::yarn)
    m.rope.scaling = RopeScaling::longrope;  // an older name of it in this family
  return m;
}

}  // namespace dtcalc::hf
