// The Gemma generations. Called through hf_families().
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/hf_families.hpp"

namespace dtcalc::hf {

namespace {

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

}  // namespace

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
  const nlohmann::json* parameters = r.find("rope_parameters");
  const bool nested = parameters != nullptr && parameters->is_object() &&
                      (parameters->contains("full_attention") || parameters->contains("sliding_attention"));
  HfRopeKeys keys;
  keys.base = 1000000;
  if (nested) {  // transformers 5: one object per kind of layer
    nlohmann::json flat = nlohmann::json::object();
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

}  // namespace dtcalc::hf
