#include "engine/train/hf_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/placement.hpp"

namespace dtcalc {
namespace {

constexpr const char* kWayOut = "train it without --weights and --export; checkpoints take any model";

Error refused(const char* key, const char* reason) { return {fmt::format("/model/{}", key), "", reason, kWayOut}; }

bool is_gpt2(const Model& m) { return m.position == Position::learned; }

/// What neither layout has.
std::optional<Error> refuse_both(const Model& m) {
  if (m.position != Position::learned && m.position != Position::rope)
    return refused("position",
                   "neither learned (GPT-2) nor rotary (Llama): Hugging Face weights have no such layout here");
  if (m.block != BlockForm::serial) return refused("block", "is parallel; GPT-2 and Llama are serial");
  if (m.norm_placement != NormPlacement::pre || !m.final_norm)
    return refused("norm_placement", "GPT-2 and Llama normalise before each part and at the end");
  if (!m.norm_affine || !m.final_norm_affine)
    return refused("norm_affine", "the norms of GPT-2 and Llama have weights");
  if (m.norm_weight_offset) return refused("norm_weight_offset", "is Gemma's; GPT-2 and Llama store the weight itself");
  if (m.qk_norm != QkNorm::none) return refused("qk_norm", "GPT-2 and Llama have none");
  if (m.head_bias) return refused("head_bias", "GPT-2 and Llama have none");
  if (m.sliding_window > 0) return refused("sliding_window", "GPT-2 and Llama have none");
  if (m.embedding_scale != 1) return refused("embedding_scale", "GPT-2 and Llama have none");
  if (m.attention_softcap != 0 || m.final_softcap != 0)
    return refused("attention_softcap", "GPT-2 and Llama cap neither scores nor logits");
  if (m.attention_scale == AttentionScale::inverse_head_size)
    return refused("attention_scale", "GPT-2 and Llama divide by the root of head_size");
  return std::nullopt;
}

std::optional<Error> refuse_gpt2(const Model& m) {
  if (m.norm != Norm::layer_norm || !m.norm_bias)
    return refused("norm", "a model with learned positions needs LayerNorm with biases (GPT-2)");
  if (m.gated_mlp) return refused("gated_mlp", "a model with learned positions needs a plain MLP (GPT-2)");
  if (m.kv_heads != m.heads) return refused("kv_heads", "GPT-2 has as many as heads");
  if (m.heads * m.head_size != m.hidden_size) return refused("head_size", "GPT-2's is hidden_size / heads");
  if (!m.query_bias || !m.key_bias || !m.value_bias || !m.attention_output_bias || !m.mlp_bias)
    return refused("mlp_bias", "GPT-2 has biases everywhere");
  if (position_rows(m) != m.max_sequence) return refused("position_rows", "GPT-2 has max_sequence of them");
  return std::nullopt;
}

std::optional<Error> refuse_llama(const Model& m) {
  if (m.norm != Norm::rms_norm) return refused("norm", "a model with rotary positions needs RMSNorm (Llama)");
  if (!m.gated_mlp) return refused("gated_mlp", "a model with rotary positions needs a gated MLP (Llama)");
  const bool qkv = m.query_bias;
  if (m.key_bias != qkv || m.value_bias != qkv || m.attention_output_bias != qkv)
    return refused("query_bias", "Llama's attention has all four biases or none");
  if (m.rope.rotary_size != 0 && m.rope.rotary_size != m.head_size)
    return refused("rope/rotary_size", "Llama rotates whole heads");
  return std::nullopt;
}

class TensorList {
 public:
  explicit TensorList(const std::vector<ParameterView>& parameters) : parameters_(parameters) {}

  void add(std::string name, std::initializer_list<Name> ops, const char* suffix, std::int64_t layer,
           bool transposed = false, bool rotary = false) {
    HfTensor tensor{std::move(name), {}, transposed, rotary};
    for (const Name op : ops)
      for (std::size_t i = 0; i < parameters_.size(); ++i)
        if (parameters_[i].op == op && parameters_[i].suffix == suffix && parameters_[i].layer == layer)
          tensor.parts.push_back(i);
    if (tensor.parts.size() == ops.size()) tensors_.push_back(std::move(tensor));  // an absent bias has no tensor
  }
  std::vector<HfTensor> take() { return std::move(tensors_); }

 private:
  const std::vector<ParameterView>& parameters_;
  std::vector<HfTensor> tensors_;
};

std::vector<HfTensor> gpt2(const Model& m, TensorList layout) {
  layout.add("transformer.wte.weight", {Name::embedding_token}, "weight", -1);
  layout.add("transformer.wpe.weight", {Name::embedding_position}, "weight", -1);
  for (std::int64_t l = 0; l < m.layers; ++l)
    for (const char* suffix : {"weight", "bias"}) {
      const bool matrix = suffix[0] == 'w';
      const auto name = [&](const char* part) { return fmt::format("transformer.h.{}.{}.{}", l, part, suffix); };
      layout.add(name("ln_1"), {Name::attention_norm}, suffix, l);
      layout.add(name("attn.c_attn"), {Name::attention_query, Name::attention_key, Name::attention_value}, suffix, l,
                 matrix);
      layout.add(name("attn.c_proj"), {Name::attention_output}, suffix, l, matrix);
      layout.add(name("ln_2"), {Name::mlp_norm}, suffix, l);
      layout.add(name("mlp.c_fc"), {Name::mlp_up}, suffix, l, matrix);
      layout.add(name("mlp.c_proj"), {Name::mlp_down}, suffix, l, matrix);
    }
  layout.add("transformer.ln_f.weight", {Name::final_norm}, "weight", -1);
  layout.add("transformer.ln_f.bias", {Name::final_norm}, "bias", -1);
  layout.add("lm_head.weight", {Name::head_product}, "weight", -1);
  return layout.take();
}

std::vector<HfTensor> llama(const Model& m, TensorList layout) {
  const bool neighbours = m.rope.pairing == RopePairing::neighbours;
  layout.add("model.embed_tokens.weight", {Name::embedding_token}, "weight", -1);
  for (std::int64_t l = 0; l < m.layers; ++l)
    for (const char* suffix : {"weight", "bias"}) {
      const auto name = [&](const char* part) { return fmt::format("model.layers.{}.{}.{}", l, part, suffix); };
      layout.add(name("input_layernorm"), {Name::attention_norm}, suffix, l);
      layout.add(name("self_attn.q_proj"), {Name::attention_query}, suffix, l, false, neighbours);
      layout.add(name("self_attn.k_proj"), {Name::attention_key}, suffix, l, false, neighbours);
      layout.add(name("self_attn.v_proj"), {Name::attention_value}, suffix, l);
      layout.add(name("self_attn.o_proj"), {Name::attention_output}, suffix, l);
      layout.add(name("post_attention_layernorm"), {Name::mlp_norm}, suffix, l);
      layout.add(name("mlp.gate_proj"), {Name::mlp_gate}, suffix, l);
      layout.add(name("mlp.up_proj"), {Name::mlp_up}, suffix, l);
      layout.add(name("mlp.down_proj"), {Name::mlp_down}, suffix, l);
    }
  layout.add("model.norm.weight", {Name::final_norm}, "weight", -1);
  layout.add("lm_head.weight", {Name::head_product}, "weight", -1);
  return layout.take();
}

/// The activation's name in transformers (ACT2FN).
const char* activation_name(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_new";
    case Activation::relu:
      return "relu";
    case Activation::tanh:
      return "tanh";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::silu:
      return "silu";
  }
  return "";
}

}  // namespace

Result<std::vector<HfTensor>> hf_layout(const Model& m, const std::vector<ParameterView>& parameters) {
  if (auto error = refuse_both(m)) return *error;
  if (auto error = is_gpt2(m) ? refuse_gpt2(m) : refuse_llama(m)) return *error;
  return is_gpt2(m) ? gpt2(m, TensorList(parameters)) : llama(m, TensorList(parameters));
}

std::string short_name(const std::string& name) {
  for (const std::string_view prefix : {"transformer.", "model."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

std::int64_t rotary_row(const Model& m, std::int64_t row) {
  const std::int64_t channel = row % m.head_size, rotary = rotary_size(m);
  if (channel >= rotary) return row;
  return row - channel + (channel % 2 == 0 ? channel / 2 : rotary / 2 + channel / 2);
}

Result<nlohmann::ordered_json> hf_config_of(const Model& m) {
  nlohmann::ordered_json j;
  if (is_gpt2(m)) {
    j = {{"architectures", {"GPT2LMHeadModel"}},
         {"model_type", "gpt2"},
         {"vocab_size", m.vocabulary_size},
         {"n_positions", m.max_sequence},
         {"n_embd", m.hidden_size},
         {"n_layer", m.layers},
         {"n_head", m.heads},
         {"n_inner", m.mlp_size},
         {"activation_function", activation_name(m.activation)},
         {"layer_norm_epsilon", m.norm_epsilon},
         {"resid_pdrop", m.residual_dropout},
         {"embd_pdrop", m.embedding_dropout},
         {"attn_pdrop", m.attention_dropout},
         {"scale_attn_weights", m.attention_scale != AttentionScale::given}};
  } else {
    if (m.rope.scaling != RopeScaling::none && m.rope.scaling != RopeScaling::llama3)
      return refused("rope/scaling", "is neither none nor llama3, which is what is written");
    j = {{"architectures", {"LlamaForCausalLM"}},
         {"model_type", "llama"},
         {"vocab_size", m.vocabulary_size},
         {"max_position_embeddings", m.max_sequence},
         {"hidden_size", m.hidden_size},
         {"intermediate_size", m.mlp_size},
         {"num_hidden_layers", m.layers},
         {"num_attention_heads", m.heads},
         {"num_key_value_heads", m.kv_heads},
         {"head_dim", m.head_size},
         {"hidden_act", activation_name(m.activation)},
         {"rms_norm_eps", m.norm_epsilon},
         {"attention_bias", m.query_bias},
         {"mlp_bias", m.mlp_bias},
         {"attention_dropout", m.attention_dropout},
         {"rope_theta", m.rope.base}};
    if (m.rope.scaling == RopeScaling::llama3)
      j["rope_scaling"] = {{"rope_type", "llama3"},
                           {"factor", m.rope.factor},
                           {"low_freq_factor", m.rope.low_frequency_factor},
                           {"high_freq_factor", m.rope.high_frequency_factor},
                           {"original_max_position_embeddings", m.rope.original_positions}};
  }
  j["tie_word_embeddings"] = m.tied_embeddings;
  j["torch_dtype"] = "float32";
  return j;
}

}  // namespace dtcalc
