// Hugging Face configurations: exact parameter counts against transformers, the variants each family brings, and the
// refusal of everything that is not modelled.
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/hf_config.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "parameter_count.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;

namespace {

Model model_of(const std::string& text) {
  const Result<Model> read = model_from_hf_config(*parse_json(text, "config.json"), "config.json");
  INFO(describe(read.errors()));
  REQUIRE(read);
  Model model = *read;
  const Given nothing;
  resolve(model, nothing);
  std::vector<Error> errors;
  check(model, nothing, errors);
  INFO(describe(errors));
  REQUIRE(errors.empty());
  return model;
}

std::string errors_of(const std::string& text) {
  return describe(model_from_hf_config(*parse_json(text, "config.json"), "config.json").errors());
}

}  // namespace

// The right column is the sum over parameters() of AutoModelForCausalLM.from_config on torch's meta device, tied
// weights once: transformers 5.23.0, torch 2.15.0.
TEST_CASE("imported configurations have exactly transformers' parameters") {
  struct Row {
    const char* name;
    std::int64_t parameters;
    const char* config;
  };
  static const std::
      vector<Row>
          rows{
              {"gpt2 defaults", 124439808, R"({"model_type": "gpt2"})"},
              {"gptj defaults", 6050882784, R"({"model_type": "gptj"})"},
              {"gpt_neox defaults", 20554567680, R"({"model_type": "gpt_neox"})"},
              {"opt defaults", 125239296, R"({"model_type": "opt"})"},
              {"llama defaults", 6738415616, R"({"model_type": "llama"})"},
              {"mistral defaults", 7241732096, R"({"model_type": "mistral"})"},
              {"qwen2 defaults", 12049846272, R"({"model_type": "qwen2"})"},
              {"qwen3 defaults", 12049461248, R"({"model_type": "qwen3"})"},
              {"falcon defaults", 6921720704, R"({"model_type": "falcon"})"},
              {"phi defaults", 1418270720, R"({"model_type": "phi"})"},
              {"phi3 defaults", 3821079552, R"({"model_type": "phi3"})"},
              {"gemma defaults", 8537680896, R"({"model_type": "gemma"})"},
              {"gemma2 defaults", 2614341888, R"({"model_type": "gemma2"})"},
              {"gemma3_text defaults", 2628658432, R"({"model_type": "gemma3_text"})"},
              {"gpt2 with n_inner, untied", 257208,
               R"({"model_type": "gpt2", "n_embd": 96, "n_layer": 3, "n_head": 4, "n_inner": 200, "n_positions": 70, "vocab_size": 111, "tie_word_embeddings": false})"},
              {"gptj small", 112099,
               R"({"model_type": "gptj", "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "vocab_size": 99})"},
              {"gpt_neox pythia-160m", 162322944,
               R"({"model_type": "gpt_neox", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 50304, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true, "max_position_embeddings": 2048, "tie_word_embeddings": false, "layer_norm_eps": 1e-05, "hidden_act": "gelu", "torch_dtype": "float16"})"},
              {"gpt_neox serial without attention bias", 117088,
               R"({"model_type": "gpt_neox", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 77, "use_parallel_residual": false, "attention_bias": false, "tie_word_embeddings": true})"},
              {"opt post norm", 67976,
               R"({"model_type": "opt", "hidden_size": 64, "ffn_dim": 100, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 77, "max_position_embeddings": 50, "do_layer_norm_before": false, "word_embed_proj_dim": 64})"},
              {"opt without bias", 234944,
               R"({"model_type": "opt", "hidden_size": 64, "ffn_dim": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 77, "enable_bias": false, "_remove_final_layer_norm": true})"},
              {"llama-3.2-1b", 1235814400,
               R"({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "max_position_embeddings": 131072, "rope_theta": 500000.0, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3", "rope_theta": 500000.0}, "tie_word_embeddings": true, "rms_norm_eps": 1e-05, "attention_bias": false, "mlp_bias": false})"},
              {"llama with biases", 86480,
               R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 77, "attention_bias": true, "mlp_bias": true, "head_dim": 24})"},
              {"mistral-7b-v0.1", 7241732096,
               R"({"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768, "sliding_window": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0})"},
              {"qwen2.5-0.5b", 494032768, R"({"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": true, "use_sliding_window": false, "max_window_layers": 24, "sliding_window": 32768, "rope_theta": 1000000.0, "max_position_embeddings": 32768, "use_mrope": false})"},
              {"qwen3-0.6b", 596049920,
               R"({"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": true, "rope_theta": 1000000, "max_position_embeddings": 40960, "sliding_window": null, "use_sliding_window": false, "max_window_layers": 28})"},
              {"falcon-7b", 6921720704,
               R"({"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "vocab_size": 65024, "multi_query": true, "parallel_attn": true, "bias": false, "alibi": false, "new_decoder_architecture": false})"},
              {"falcon-40b", 41303293952,
               R"({"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8, "vocab_size": 65024, "new_decoder_architecture": true, "parallel_attn": true, "bias": false, "multi_query": true})"},
              {"falcon-rw-1b", 1311625216,
               R"({"model_type": "falcon", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "vocab_size": 50304, "multi_query": false, "parallel_attn": false, "bias": true, "alibi": true})"},
              {"falcon with one norm", 56320,
               R"({"model_type": "falcon", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "num_kv_heads": 2, "vocab_size": 77, "new_decoder_architecture": true, "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 100, "tie_word_embeddings": false})"},
              {"phi-2", 2779683840,
               R"({"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 51200, "partial_rotary_factor": 0.4, "layer_norm_eps": 1e-05, "resid_pdrop": 0.1, "embd_pdrop": 0.0, "max_position_embeddings": 2048, "qk_layernorm": false, "tie_word_embeddings": false})"},
              {"phi3-mini-128k", 3821079552,
               R"({"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064, "max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "sliding_window": 262144, "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0], "rope_theta": 10000.0, "partial_rotary_factor": 1.0, "rope_type": "longrope", "original_max_position_embeddings": 4096}, "attention_bias": false, "rope_theta": 10000.0})"},
              {"gemma-2b", 2506172416,
               R"({"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 256000, "hidden_act": "gelu", "rms_norm_eps": 1e-06})"},
              {"gemma2-9b", 9241705984,
               R"({"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000, "query_pre_attn_scalar": 224, "sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "cache_implementation": "hybrid"})"},
              {"gemma3-1b", 999885952,
               R"({"model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262144, "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1000000, "rope_local_base_freq": 10000, "query_pre_attn_scalar": 256, "max_position_embeddings": 32768})"},
              {"gemma3 with layer types", 145312,
               R"({"model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 20, "vocab_size": 77, "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"], "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000}}, "attention_bias": true, "query_pre_attn_scalar": 20})"},
          };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(test::parameter_count(model_of(row.config)) == row.parameters);
  }
}

TEST_CASE("a configuration's variants arrive in the model") {
  const Model gpt2 = model_of(R"({"model_type": "gpt2"})");
  CHECK(gpt2.position == Position::learned);
  CHECK(gpt2.activation == Activation::gelu_tanh);
  CHECK(gpt2.attention_dropout == 0.1);
  CHECK(gpt2.tied_embeddings);

  const Model unscaled = model_of(R"({"model_type": "gpt2", "scale_attn_weights": false})");
  CHECK(unscaled.attention_scale == AttentionScale::given);
  CHECK(unscaled.attention_scale_value == 1);

  const Model gptj = model_of(R"({"model_type": "gptj"})");
  CHECK(gptj.block == BlockForm::parallel);
  CHECK_FALSE(gptj.parallel_norms);
  CHECK(gptj.rope.pairing == RopePairing::neighbours);
  CHECK(gptj.rope.rotary_size == 64);
  CHECK(gptj.head_bias);
  CHECK_FALSE(gptj.query_bias);
  CHECK(gptj.mlp_bias);

  const Model neox = model_of(R"({"model_type": "gpt_neox"})");
  CHECK(neox.parallel_norms);
  CHECK(neox.rope.rotary_size == 24);  // a quarter of 96
  CHECK(neox.activation == Activation::gelu);

  const Model opt = model_of(R"({"model_type": "opt"})");
  CHECK(opt.activation == Activation::relu);
  CHECK(position_rows(opt) == 2050);
  CHECK(opt.final_norm);
  const Model post = model_of(R"({"model_type": "opt", "do_layer_norm_before": false})");
  CHECK(post.norm_placement == NormPlacement::post);
  CHECK_FALSE(post.final_norm);

  const Model qwen2 = model_of(R"({"model_type": "qwen2"})");
  CHECK(qwen2.key_bias);
  CHECK_FALSE(qwen2.attention_output_bias);
  CHECK(qwen2.sliding_window == 0);
  const Model qwen3 = model_of(R"({"model_type": "qwen3"})");
  CHECK(qwen3.qk_norm == QkNorm::per_head);
  CHECK(qwen3.head_size == 128);

  const Model falcon = model_of(R"({"model_type": "falcon"})");
  CHECK(falcon.kv_heads == 1);
  CHECK(falcon.block == BlockForm::parallel);
  CHECK_FALSE(falcon.parallel_norms);
  CHECK(model_of(R"({"model_type": "falcon", "alibi": true})").position == Position::alibi);

  const Model phi = model_of(R"({"model_type": "phi"})");
  CHECK(phi.rope.rotary_size == 32);  // half of 64
  CHECK(phi.head_bias);

  const Model gemma = model_of(R"({"model_type": "gemma", "hidden_act": "gelu"})");
  CHECK(gemma.activation == Activation::gelu_tanh);
  CHECK(gemma.embedding_scale == Approx(std::sqrt(3072.0)));
  CHECK(gemma.norm_weight_offset);
  CHECK(gemma.gated_mlp);
}

TEST_CASE("soft-capping, attention scale and local layers of Gemma 2 and 3") {
  const Model gemma2 = model_of(R"({"model_type": "gemma2", "query_pre_attn_scalar": 144})");
  CHECK(gemma2.norm_placement == NormPlacement::sandwich);
  CHECK(gemma2.attention_softcap == 50);
  CHECK(gemma2.final_softcap == 30);
  CHECK(gemma2.sliding_window == 4096);
  CHECK(gemma2.global_layer_every == 2);
  CHECK(gemma2.attention_scale == AttentionScale::given);
  CHECK(gemma2.attention_scale_value == Approx(1.0 / 12).epsilon(1e-15));
  CHECK(model_of(R"({"model_type": "gemma2", "attn_logit_softcapping": null})").attention_softcap == 0);

  const Model gemma3 =
      model_of(R"({"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}})");
  CHECK(gemma3.global_layer_every == 6);
  CHECK(gemma3.rope.base == 1000000);
  CHECK(gemma3.rope.local_base == 10000);
  CHECK(gemma3.rope.scaling == RopeScaling::linear);
  CHECK(gemma3.rope.factor == 8);
  CHECK(gemma3.attention_softcap == 0);
  CHECK(gemma3.attention_scale == AttentionScale::inverse_sqrt_head_size);
}

TEST_CASE("RoPE base and scaling are read in the spellings of transformers 4 and 5") {
  const Model four = model_of(R"({"model_type": "llama", "rope_theta": 500000, "rope_scaling": {"rope_type": "llama3",
      "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}})");
  const Model five =
      model_of(R"({"model_type": "llama", "rope_parameters": {"rope_theta": 500000, "rope_type": "llama3",
      "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}})");
  for (const Model& m : {four, five}) {
    CHECK(m.rope.base == 500000);
    CHECK(m.rope.scaling == RopeScaling::llama3);
    CHECK(m.rope.factor == 8);
    CHECK(m.rope.original_positions == 8192);
  }
  const Model yarn = model_of(R"({"model_type": "qwen2", "max_position_embeddings": 32768,
      "rope_scaling": {"type": "yarn", "factor": 4.0}})");
  CHECK(yarn.rope.scaling == RopeScaling::yarn);
  CHECK(yarn.rope.original_positions == 32768);
  const Model longrope = model_of(R"({"model_type": "phi3", "max_position_embeddings": 131072,
      "rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [2.0]}})");
  CHECK(longrope.rope.scaling == RopeScaling::longrope);
  CHECK(longrope.rope.factor == 32);  // 131072 / 4096
}

TEST_CASE("layer_types that repeat with the global layer last are read, others refused by name") {
  const std::string gemma = R"({"model_type": "gemma2", "num_hidden_layers": 4, "layer_types": )";
  const std::string local = R"("sliding_attention")";
  const std::string global = R"("full_attention")";
  CHECK(model_of(gemma + "[" + local + "," + local + "," + local + "," + global + "]}").global_layer_every == 4);
  CHECK(model_of(gemma + "[" + local + "," + local + "," + local + "," + local + "]}").global_layer_every == 0);
  CHECK(model_of(gemma + "[" + global + "," + global + "," + global + "," + global + "]}").sliding_window == 0);
  CHECK_THAT(errors_of(gemma + "[" + global + "," + local + "," + global + "," + local + "]}"),
             ContainsSubstring("config.json#/layer_types"));
  CHECK_THAT(errors_of(gemma + "[" + local + "]}"), ContainsSubstring("has 1 entries for 4 layers"));
  CHECK_THAT(errors_of(gemma + R"(["mamba", "mamba", "mamba", "mamba"]})"), ContainsSubstring("\"mamba\""));
}

TEST_CASE("what is not modelled is refused by its name") {
  struct Row {
    const char* key;
    const char* value;
    const char* reason;
  };
  const auto row = GENERATE(values<Row>({{"num_experts", "8", "mixture of experts"},
                                         {"num_local_experts", "8", "mixture of experts"},
                                         {"n_routed_experts", "64", "mixture of experts"},
                                         {"kv_lora_rank", "512", "multi-head latent attention"},
                                         {"mamba_d_state", "16", "state-space"},
                                         {"quantization_config", R"({"bits": 4})", "quantized"},
                                         {"is_encoder_decoder", "true", "encoder"},
                                         {"add_cross_attention", "true", "cross-attention"},
                                         {"pruned_heads", R"({"0": [1]})", "heads that were cut out"},
                                         {"use_mrope", "true", "three positions"},
                                         {"some_new_thing", "3", "not a known key of llama"},
                                         {"hidden_act", R"("quick_gelu")", "activation that is not modelled"},
                                         {"rope_scaling", R"({"type": "mrope"})", "rotation that is not modelled"},
                                         {"partial_rotary_factor", "0.5", "partial rotation"}}));
  const std::string message =
      errors_of(std::string(R"({"model_type": "llama", ")") + row.key + "\": " + row.value + "}");
  CHECK_THAT(message, ContainsSubstring(std::string("config.json#/") + row.key));
  CHECK_THAT(message, ContainsSubstring(row.reason));
}

TEST_CASE("a switched-off unknown key and run-time keys are no obstacle") {
  CHECK(model_of(
            R"({"model_type": "llama", "num_experts": 0, "some_flag": false, "some_list": [], "torch_dtype": "bfloat16",
                     "architectures": ["LlamaForCausalLM"], "transformers_version": "4.40.0", "use_cache": true})")
            .layers == 32);
}

TEST_CASE("an unknown model type lists the known ones") {
  const std::string message = errors_of(R"({"model_type": "mixtral"})");
  CHECK_THAT(message, ContainsSubstring("config.json#/model_type"));
  for (const std::string_view type : hf_model_types()) CHECK_THAT(message, ContainsSubstring(std::string(type)));
  CHECK_THAT(errors_of(R"({"model_type": "gemma3", "text_config": {}})"),
             ContainsSubstring("give its text_config as a file of its own"));
}

TEST_CASE("sizes of a configuration keep the ranges of a scenario") {
  CHECK_THAT(errors_of(R"({"model_type": "llama", "num_hidden_layers": -3})"),
             ContainsSubstring("/model/layers: -3 is negative"));
  CHECK_THAT(errors_of(R"({"model_type": "llama", "hidden_size": 0})"),
             ContainsSubstring("/model/hidden_size: 0 is zero"));
  CHECK_THAT(errors_of(R"({"model_type": "llama", "hidden_size": "4096"})"), ContainsSubstring("is not an integer"));
  CHECK_THAT(errors_of(R"({"model_type": "llama", "hidden_size": 1e300})"), ContainsSubstring("is not an integer"));
}
