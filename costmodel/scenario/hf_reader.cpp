#include "costmodel/scenario/hf_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::json;

/// Keys of every configuration that say nothing about the graph of one forward or training pass: identity, tokens,
/// initialisation, generation, task heads, storage and run-time switches.
constexpr std::string_view neutral_keys[] = {"_attn_implementation",
                                             "_attn_implementation_autoset",
                                             "_commit_hash",
                                             "_name_or_path",
                                             "architectures",
                                             "attn_implementation",
                                             "auto_map",
                                             "bad_words_ids",
                                             "begin_suppress_tokens",
                                             "bos_token_id",
                                             "cache_implementation",
                                             "chunk_size_feed_forward",
                                             "classifier_dropout",
                                             "decoder_start_token_id",
                                             "diversity_penalty",
                                             "do_sample",
                                             "dtype",
                                             "early_stopping",
                                             "encoder_no_repeat_ngram_size",
                                             "eos_token_id",
                                             "exponential_decay_length_penalty",
                                             "finetuning_task",
                                             "forced_bos_token_id",
                                             "forced_eos_token_id",
                                             "gradient_checkpointing",
                                             "id2label",
                                             "init_std",
                                             "initializer_range",
                                             "is_decoder",
                                             "label2id",
                                             "length_penalty",
                                             "max_length",
                                             "min_length",
                                             "model_type",
                                             "n_ctx",
                                             "name_or_path",
                                             "no_repeat_ngram_size",
                                             "num_beam_groups",
                                             "num_beams",
                                             "num_labels",
                                             "num_return_sequences",
                                             "output_attentions",
                                             "output_hidden_states",
                                             "output_scores",
                                             "pad_token_id",
                                             "prefix",
                                             "pretraining_tp",
                                             "problem_type",
                                             "remove_invalid_values",
                                             "repetition_penalty",
                                             "return_dict",
                                             "return_dict_in_generate",
                                             "sep_token_id",
                                             "suppress_tokens",
                                             "task_specific_params",
                                             "temperature",
                                             "tokenizer_class",
                                             "top_k",
                                             "top_p",
                                             "torch_dtype",
                                             "torchscript",
                                             "transformers_version",
                                             "typical_p",
                                             "use_cache"};

/// Keys that change the graph in ways that are not modelled, and what they stand for.
constexpr std::pair<std::string_view, std::string_view> unmodelled_keys[] = {
    {"add_cross_attention", "cross-attention"},
    {"attn_layer_period", "layers without attention"},
    {"cross_attention_hidden_size", "cross-attention"},
    {"cross_attention_layers", "cross-attention"},
    {"decoder_sparse_step", "mixture of experts"},
    {"encoder_layers", "an encoder"},
    {"expert_layer_period", "mixture of experts"},
    {"first_k_dense_replace", "mixture of experts"},
    {"hidden_size_per_layer_input", "inputs per layer"},
    {"is_encoder_decoder", "an encoder"},
    {"kv_lora_rank", "multi-head latent attention"},
    {"linear_num_key_heads", "linear attention"},
    {"mamba_d_state", "a state-space layer"},
    {"mlp_only_layers", "mixture of experts"},
    {"moe_intermediate_size", "mixture of experts"},
    {"moe_layer_freq", "mixture of experts"},
    {"n_group", "mixture of experts"},
    {"n_routed_experts", "mixture of experts"},
    {"n_shared_experts", "mixture of experts"},
    {"no_rope_layers", "layers without positions"},
    {"num_experts", "mixture of experts"},
    {"num_experts_per_tok", "mixture of experts"},
    {"num_kv_shared_layers", "KV shared between layers"},
    {"num_local_experts", "mixture of experts"},
    {"num_nextn_predict_layers", "prediction of several tokens"},
    {"pruned_heads", "heads that were cut out"},
    {"q_lora_rank", "multi-head latent attention"},
    {"qk_rope_head_dim", "multi-head latent attention"},
    {"quantization", "quantized weights"},
    {"quantization_config", "quantized weights"},
    {"router_aux_loss_coef", "mixture of experts"},
    {"shared_expert_intermediate_size", "mixture of experts"},
    {"ssm_cfg", "a state-space layer"},
    {"state_size", "a state-space layer"},
    {"text_config", "a model of several parts"},
    {"tie_encoder_decoder", "an encoder"},
    {"use_mrope", "rotation by three positions"},
    {"v_head_dim", "multi-head latent attention"},
    {"vision_config", "a vision tower"},
};

bool is_off(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return true;
    case json::value_t::boolean:
      return !value.get<bool>();
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return value.get<double>() == 0;
    default:
      return value.empty() || (value.is_string() && value.get_ref<const std::string&>().empty());
  }
}

}  // namespace

const json* HfReader::find(const std::string& key) {
  understood_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool HfReader::has(const std::string& key) const { return object_.contains(key); }

template <class T>
T HfReader::wrong(const std::string& key, const std::string& wanted, T absent) {
  errors_.push_back({place_ + "/" + pointer_step(key), shown(object_[key]), "is not " + wanted,
                     "correct it, or leave it out to have transformers' default"});
  return absent;
}

std::int64_t HfReader::integer(const std::string& key, std::int64_t absent) {
  constexpr double largest = 2147483647;  // 2^31 - 1: two of them multiply without overflow
  const json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_number() || std::abs(value->get<double>()) > largest ||
      value->get<double>() != std::floor(value->get<double>()))
    return wrong(key, "an integer below 2^31", absent);
  return static_cast<std::int64_t>(value->get<double>());
}

std::optional<std::int64_t> HfReader::optional_integer(const std::string& key) {
  if (find(key) == nullptr) return std::nullopt;
  return integer(key, 0);
}

double HfReader::number(const std::string& key, double absent) {
  const json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_number() || !std::isfinite(value->get<double>())) return wrong(key, "a finite number", absent);
  return value->get<double>();
}

bool HfReader::boolean(const std::string& key, bool absent) {
  const json* value = find(key);
  if (value == nullptr) return absent;
  return value->is_boolean() ? value->get<bool>() : wrong(key, "true or false", absent);
}

std::string HfReader::text(const std::string& key, const std::string& absent) {
  const json* value = find(key);
  if (value == nullptr) return absent;
  return value->is_string() ? value->get<std::string>() : wrong(key, "a text", absent);
}

std::vector<std::string> HfReader::texts(const std::string& key) {
  const json* value = find(key);
  if (value == nullptr) return {};
  const bool good =
      value->is_array() && std::all_of(value->begin(), value->end(), [](const json& word) { return word.is_string(); });
  return good ? value->get<std::vector<std::string>>() : wrong(key, "a list of texts", std::vector<std::string>{});
}

Activation HfReader::activation(const std::string& key, const std::string& absent) {
  static constexpr std::array<std::pair<std::string_view, Activation>, 9> names{{
      {"gelu", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"relu", Activation::relu},
      {"tanh", Activation::tanh},
      {"sigmoid", Activation::sigmoid},
      {"silu", Activation::silu},
      {"swish", Activation::silu},
  }};
  const std::string name = text(key, absent);
  for (const auto& [known, activation] : names)
    if (known == name) return activation;
  std::vector<std::string> known;
  known.reserve(names.size());
  for (const auto& entry : names) known.emplace_back(entry.first);
  refuse(key, "is an activation that is not modelled", "modelled are " + listed(known));
  return Activation::gelu;
}

void HfReader::must_be(const std::string& key, bool value, const std::string& reason) {
  if (boolean(key, value) != value)
    refuse(key, reason, "give the figures by hand in a model section if they still hold");
}

void HfReader::refuse(const std::string& key, const std::string& reason, const std::string& way_out) {
  const auto found = object_.find(key);
  errors_.push_back({place_ + "/" + pointer_step(key), found == object_.end() ? "" : shown(*found), reason, way_out});
}

void HfReader::refuse_rest(const std::string& model_type) {
  for (const auto& [key, value] : object_.items()) {
    const auto is_key = [&](const auto& entry) { return entry == key; };
    if (understood_.contains(key) || is_off(value) || key.starts_with("summary_")) continue;
    if (std::any_of(std::begin(neutral_keys), std::end(neutral_keys), is_key)) continue;
    const auto unmodelled = std::find_if(std::begin(unmodelled_keys), std::end(unmodelled_keys),
                                         [&](const auto& entry) { return entry.first == key; });
    if (unmodelled != std::end(unmodelled_keys))
      refuse(key, fmt::format("stands for {}, which is not modelled", unmodelled->second),
             "choose a dense decoder-only model");
    else
      refuse(key, fmt::format("is not a known key of {} and may change the graph", model_type),
             "remove it if it does not change the graph");
  }
}

}  // namespace dtcalc
