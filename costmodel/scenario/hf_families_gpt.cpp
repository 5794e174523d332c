// Families that descend from GPT-2: biases or plain MLPs, LayerNorm, parallel blocks. Called through hf_families().
#include <fmt/format.h>

#include "costmodel/scenario/hf_families.hpp"

namespace dtcalc::hf {

Model gpt2(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 50257);
  m.max_sequence = r.integer("n_positions", 1024);
  m.hidden_size = r.integer("n_embd", 768);
  m.layers = r.integer("n_layer", 12);
  m.heads = r.integer("n_head", 12);
  m.mlp_size = r.integer("n_inner", 0);
  m.activation = r.activation("activation_function", "gelu_new");
  m.residual_dropout = r.number("resid_pdrop", 0.1);
  m.embedding_dropout = r.number("embd_pdrop", 0.1);
  m.attention_dropout = r.number("attn_pdrop", 0.1);
  m.norm_epsilon = r.number("layer_norm_epsilon", 1e-5);
  m.tied_embeddings = r.boolean("tie_word_embeddings", true);
  if (!r.boolean("scale_attn_weights", true)) {
    m.attention_scale = AttentionScale::given;
    m.attention_scale_value = 1;
  }
  r.must_be("scale_attn_by_inverse_layer_idx", false, "scales each layer's scores differently, which is not modelled");
  r.must_be("reorder_and_upcast_attn", false, "computes attention in fp32, which is not modelled");
  r.must_be("add_cross_attention", false, "stands for cross-attention, which is not modelled");
  r.ignore({"n_special", "predict_special_tokens"});
  return m;
}

Model gptj(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 50400);
  m.max_sequence = r.integer("n_positions", 2048);
  m.hidden_size = r.integer("n_embd", 4096);
  m.layers = r.integer("n_layer", 28);
  m.heads = r.integer("n_head", 16);
  m.mlp_size = r.integer("n_inner", 0);
  m.position = Position::rope;
  m.rope.pairing = RopePairing::neighbours;
  m.rope.rotary_size = r.has("rotary_dim") ? r.integer("rotary_dim", 0) : 64;
  if (r.has("rotary_dim") && m.rope.rotary_size == 0)
    r.refuse("rotary_dim", "rotates by frequencies of the whole width, which is not modelled",
             "give the number of channels");
  m.block = BlockForm::parallel;
  m.activation = r.activation("activation_function", "gelu_new");
  m.residual_dropout = r.number("resid_pdrop", 0);
  m.embedding_dropout = r.number("embd_pdrop", 0);
  m.attention_dropout = r.number("attn_pdrop", 0);
  m.norm_epsilon = r.number("layer_norm_epsilon", 1e-5);
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  set_attention_biases(m, false, false);
  m.head_bias = true;
  r.must_be("rotary", true, "is GPT-J without rotary positions, which is not modelled");
  r.must_be("scale_attn_weights", true, "is GPT-J without attention scale, which is not modelled");
  return m;
}

Model gpt_neox(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 50432);
  m.hidden_size = r.integer("hidden_size", 6144);
  m.layers = r.integer("num_hidden_layers", 44);
  m.heads = r.integer("num_attention_heads", 64);
  m.mlp_size = r.integer("intermediate_size", 24576);
  m.max_sequence = r.integer("max_position_embeddings", 2048);
  m.activation = r.activation("hidden_act", "gelu");
  m.attention_dropout = r.number("attention_dropout", 0);
  m.residual_dropout = m.embedding_dropout = r.number("hidden_dropout", 0);
  m.norm_epsilon = r.number("layer_norm_eps", 1e-5);
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  if (r.boolean("use_parallel_residual", true)) {
    m.block = BlockForm::parallel;
    m.parallel_norms = true;
  }
  const bool attention_bias = r.boolean("attention_bias", true);
  set_attention_biases(m, attention_bias, attention_bias);
  HfRopeKeys keys;
  keys.base_key = r.find("rotary_emb_base") != nullptr ? "rotary_emb_base" : "rope_theta";
  keys.part_key = r.find("rotary_pct") != nullptr ? "rotary_pct" : "partial_rotary_factor";
  keys.rotary_part = 0.25;
  keys.may_be_partial = true;
  read_hf_rope(r, m, keys);
  r.ignore({"rope_theta", "partial_rotary_factor"});
  return m;
}

Model opt(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 50272);
  m.hidden_size = r.integer("hidden_size", 768);
  m.layers = r.integer("num_hidden_layers", 12);
  m.heads = r.integer("num_attention_heads", 12);
  m.mlp_size = r.integer("ffn_dim", 3072);
  m.max_sequence = r.integer("max_position_embeddings", 2048);
  m.position_rows = m.max_sequence + 2;  // OPTLearnedPositionalEmbedding.offset
  m.activation = r.activation("activation_function", "relu");
  m.residual_dropout = r.number("dropout", 0.1);
  m.attention_dropout = r.number("attention_dropout", 0);
  m.tied_embeddings = r.boolean("tie_word_embeddings", true);
  if (!r.boolean("do_layer_norm_before", true)) m.norm_placement = NormPlacement::post;
  m.final_norm = !r.boolean("_remove_final_layer_norm", false) && m.norm_placement == NormPlacement::pre;
  const bool bias = r.boolean("enable_bias", true);
  set_attention_biases(m, bias, bias);
  m.mlp_bias = bias;
  r.must_be("layer_norm_elementwise_affine", true, "is a norm without weights, which is not modelled");
  if (r.integer("word_embed_proj_dim", m.hidden_size) != m.hidden_size)
    r.refuse("word_embed_proj_dim",
             fmt::format("differs from hidden_size ({}): projected embeddings are not modelled", m.hidden_size),
             "choose another OPT (only 350m has it)");
  return m;
}

Model falcon(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 65024);
  m.hidden_size = r.integer(r.has("n_embed") ? "n_embed" : "hidden_size", 4544);
  r.ignore({"hidden_size"});
  m.layers = r.integer("num_hidden_layers", 32);
  m.heads = r.integer("num_attention_heads", 71);
  m.mlp_size = r.integer("ffn_hidden_size", 0);
  m.max_sequence = r.integer("max_position_embeddings", 2048);
  m.norm_epsilon = r.number("layer_norm_epsilon", 1e-5);
  m.activation = r.activation("activation", "gelu");
  m.tied_embeddings = r.boolean("tie_word_embeddings", true);
  m.residual_dropout = r.number("hidden_dropout", 0);
  m.attention_dropout = r.number("attention_dropout", 0);
  const bool bias = r.boolean("bias", false);
  set_attention_biases(m, bias, bias);
  m.mlp_bias = bias;
  const bool new_architecture = r.boolean("new_decoder_architecture", false);
  const bool multi_query = r.boolean("multi_query", true);
  const bool parallel = r.boolean("parallel_attn", true);
  const std::int64_t kv_heads = r.integer("num_kv_heads", m.heads);
  m.kv_heads = new_architecture ? kv_heads : multi_query ? 1 : m.heads;
  if (!new_architecture && !multi_query && kv_heads != m.heads)
    r.refuse("num_kv_heads", "needs new_decoder_architecture", "set new_decoder_architecture or leave it out");
  const auto norms = r.optional_integer("num_ln_in_parallel_attn");
  if (parallel || new_architecture) m.block = BlockForm::parallel;
  m.parallel_norms = new_architecture && norms.value_or(2) == 2;
  if (new_architecture && !parallel)
    r.refuse("parallel_attn", "cannot be false with new_decoder_architecture", "leave it out");
  if (norms && (*norms < 1 || *norms > 2 || (!new_architecture && *norms == 2)))
    r.refuse("num_ln_in_parallel_attn", "is not 1, or 2 with new_decoder_architecture", "leave it out");
  if (m.block == BlockForm::parallel && m.residual_dropout > 0)
    r.refuse("hidden_dropout", "acts on the sum of attention and MLP, which is not modelled", "use 0");
  if (m.block == BlockForm::serial && m.residual_dropout != m.attention_dropout)
    r.refuse("hidden_dropout", "differs from attention_dropout, which acts on the attention's output too",
             "let them agree");
  if (r.boolean("alibi", false)) {
    m.position = Position::alibi;
    m.notes = "Falcon divides the ALiBi bias by sqrt(head_size); modelled undivided, at the same cost.";
    r.ignore({"rope_theta", "rope_parameters", "rope_scaling"});
  } else {
    read_hf_rope(r, m, {});
  }
  return m;
}

Model phi(HfReader& r) {
  Model m;
  m.vocabulary_size = r.integer("vocab_size", 51200);
  m.hidden_size = r.integer("hidden_size", 2048);
  m.layers = r.integer("num_hidden_layers", 24);
  m.heads = r.integer("num_attention_heads", 32);
  m.kv_heads = r.integer("num_key_value_heads", 0);
  m.mlp_size = r.integer("intermediate_size", 8192);
  m.max_sequence = r.integer("max_position_embeddings", 2048);
  m.block = BlockForm::parallel;
  m.activation = r.activation("hidden_act", "gelu_new");
  m.residual_dropout = r.number("resid_pdrop", 0);
  m.embedding_dropout = r.number("embd_pdrop", 0);
  m.attention_dropout = r.number("attention_dropout", 0);
  m.norm_epsilon = r.number("layer_norm_eps", 1e-5);
  m.tied_embeddings = r.boolean("tie_word_embeddings", false);
  m.head_bias = true;
  r.must_be("qk_layernorm", false, "is a LayerNorm with bias on queries and keys, which is not modelled");
  HfRopeKeys keys;
  keys.rotary_part = 0.5;
  keys.may_be_partial = true;
  read_hf_rope(r, m, keys);
  return m;
}

}  // namespace dtcalc::hf
