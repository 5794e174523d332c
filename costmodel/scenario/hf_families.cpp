#include "costmodel/scenario/hf_families.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace dtcalc {
namespace {

using nlohmann::json;

void set_attention_biases(Model& model, bool qkv, bool output) {
  model.query_bias = model.key_bias = model.value_bias = qkv;
  model.attention_output_bias = output;
}

/// head_dim, where the family's default may be hidden_size / heads (`absent` = 0).
void read_head_size(HfReader& r, Model& model, std::int64_t absent) {
  model.head_size = r.integer("head_dim", absent);
  if (model.head_size * model.heads == model.hidden_size) model.head_size = 0;  // the ordinary case stays derived
}

/// What Llama and its descendants share: RMSNorm, gated MLP, RoPE, no biases.
Model llama_like(HfReader& r) {
  Model m;
  m.hidden_size = r.integer("hidden_size", 4096);
  m.layers = r.integer("num_hidden_layers", 32);
  m.heads = r.integer("num_attention_heads", 32);
  m.norm = Norm::rms_norm;
  m.norm_bias = false;
  m.gated_mlp = true;
  set_attention_biases(m, false, false);
  m.mlp_bias = false;
  m.attention_dropout = r.number("attention_dropout", 0);
  return m;
}

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

/// What the Gemma generations share. `activation_key` is hidden_act in the first, hidden_activation since.
Model gemma_like(HfReader& r, const std::string& activation_key) {
  Model m = llama_like(r);
  m.norm_epsilon = r.number("rms_norm_eps", 1e-6);
  m.norm_weight_offset = true;
  m.embedding_scale = 0;  // set once hidden_size is known
  m.activation = r.activation(activation_key, "gelu_pytorch_tanh");
  m.tied_embeddings = r.boolean("tie_word_embeddings", true);
  const bool bias = r.boolean("attention_bias", false);
  set_attention_biases(m, bias, bias);
  r.must_be("use_bidirectional_attention", false, "is attention without a causal mask, which is not modelled");
  return m;
}

Model gemma(HfReader& r) {
  const bool has_newer_key = r.find("hidden_activation") != nullptr;
  Model m = gemma_like(r, has_newer_key ? "hidden_activation" : "hidden_act");
  r.ignore({"hidden_act"});
  if (!has_newer_key && m.activation == Activation::gelu)
    m.activation = Activation::gelu_tanh;  // as transformers reads it
  m.hidden_size = r.integer("hidden_size", 3072);
  m.layers = r.integer("num_hidden_layers", 28);
  m.heads = r.integer("num_attention_heads", 16);
  m.kv_heads = r.integer("num_key_value_heads", 16);
  m.vocabulary_size = r.integer("vocab_size", 256000);
  m.mlp_size = r.integer("intermediate_size", 24576);
  m.max_sequence = r.integer("max_position_embeddings", 8192);
  read_head_size(r, m, 256);
  read_hf_rope(r, m, {});
  return m;
}

/// Gemma 2 and 3: sandwich norms, local and global layers, attention scale from a scalar.
Model gemma_sandwich(HfReader& r, std::int64_t vocabulary, std::int64_t positions, std::int64_t global_every) {
  Model m = gemma_like(r, "hidden_activation");
  r.ignore({"hidden_act"});
  m.hidden_size = r.integer("hidden_size", 2304);
  m.layers = r.integer("num_hidden_layers", 26);
  m.heads = r.integer("num_attention_heads", 8);
  m.kv_heads = r.integer("num_key_value_heads", 4);
  m.vocabulary_size = r.integer("vocab_size", vocabulary);
  m.mlp_size = r.integer("intermediate_size", 9216);
  m.max_sequence = r.integer("max_position_embeddings", positions);
  m.norm_placement = NormPlacement::sandwich;
  read_head_size(r, m, 256);
  const double scalar = r.number("query_pre_attn_scalar", 256);
  if (!(scalar > 0)) {
    r.refuse("query_pre_attn_scalar", "is not above 0", "use head_dim");
  } else if (scalar != static_cast<double>(hf_head_size(m))) {
    m.attention_scale = AttentionScale::given;
    m.attention_scale_value = 1 / std::sqrt(scalar);
  }
  m.sliding_window = r.has("sliding_window") ? r.integer("sliding_window", 0) : 4096;
  const std::vector<std::string> types = r.texts("layer_types");
  if (!types.empty())
    read_hf_layer_types(r, m, types);
  else if (global_every == 1)
    m.sliding_window = 0;
  else if (m.sliding_window > 0)
    m.global_layer_every = global_every;
  return m;
}

Model gemma2(HfReader& r) {
  r.ignore({"sliding_window_size"});  // written by older versions beside sliding_window
  Model m = gemma_sandwich(r, 256000, 8192, 2);
  m.attention_softcap = r.has("attn_logit_softcapping") ? r.number("attn_logit_softcapping", 0) : 50;
  m.final_softcap = r.has("final_logit_softcapping") ? r.number("final_logit_softcapping", 0) : 30;
  read_hf_rope(r, m, {});
  return m;
}

Model gemma3_text(HfReader& r) {
  const std::int64_t every = r.integer("sliding_window_pattern", r.integer("_sliding_window_pattern", 6));
  if (every < 1) r.refuse("sliding_window_pattern", "is not at least 1", "use 6");
  Model m = gemma_sandwich(r, 262208, 131072, std::max<std::int64_t>(every, 1));
  m.qk_norm = QkNorm::per_head;
  m.attention_softcap = r.number("attn_logit_softcapping", 0);
  m.final_softcap = r.number("final_logit_softcapping", 0);
  double local_base = r.number("rope_local_base_freq", 10000);
  const json* parameters = r.find("rope_parameters");
  const bool nested = parameters != nullptr && parameters->is_object() &&
                      (parameters->contains("full_attention") || parameters->contains("sliding_attention"));
  HfRopeKeys keys;
  keys.base = 1000000;
  if (nested) {  // transformers 5: one object per kind of layer
    json flat = json::object();
    if (const auto full = parameters->find("full_attention"); full != parameters->end() && !full->is_null())
      flat["rope_parameters"] = *full;
    HfReader inner(flat, r.place() + "/rope_parameters/full_attention");
    read_hf_rope(inner, m, keys);
    r.errors().insert(r.errors().end(), inner.errors().begin(), inner.errors().end());
    if (const auto local = parameters->find("sliding_attention"); local != parameters->end() && local->is_object()) {
      HfReader local_reader(*local, r.place() + "/rope_parameters/sliding_attention");
      local_base = local_reader.number("rope_theta", local_base);
      if (local_reader.text("rope_type", "default") != "default")
        local_reader.refuse("rope_type", "is a scaling of the local layers, which is not modelled", "use default");
      local_reader.refuse_rest("rope parameters");
      r.errors().insert(r.errors().end(), local_reader.errors().begin(), local_reader.errors().end());
    }
    r.ignore({"rope_theta"});
  } else {
    read_hf_rope(r, m, keys);
  }
  if (local_base != m.rope.base) m.rope.local_base = local_base;
  return m;
}

}  // namespace

std::span<const HfFamily> hf_families() {
  static constexpr std::array<HfFamily, 14> families{{{"gpt2", gpt2},
                                                      {"gptj", gptj},
                                                      {"gpt_neox", gpt_neox},
                                                      {"opt", opt},
                                                      {"llama", llama},
                                                      {"mistral", mistral},
                                                      {"qwen2", qwen2},
                                                      {"qwen3", qwen3},
                                                      {"falcon", falcon},
                                                      {"phi", phi},
                                                      {"phi3", phi3},
                                                      {"gemma", gemma},
                                                      {"gemma2", gemma2},
                                                      {"gemma3_text", gemma3_text}}};
  return families;
}

}  // namespace dtcalc
