#include "costmodel/scenario/hf_families.hpp"

#include <array>

namespace dtcalc {
namespace hf {

void set_attention_biases(Model& model, bool qkv, bool output) {
  model.query_bias = model.key_bias = model.value_bias = qkv;
  model.attention_output_bias = output;
}

void read_head_size(HfReader& r, Model& model, std::int64_t absent) {
  model.head_size = r.integer("head_dim", absent);
  if (model.head_size * model.heads == model.hidden_size) model.head_size = 0;  // the ordinary case stays derived
}

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

}  // namespace hf

std::span<const HfFamily> hf_families() {
  static constexpr std::array<HfFamily, 14> families{{{"gpt2", hf::gpt2},
                                                      {"gptj", hf::gptj},
                                                      {"gpt_neox", hf::gpt_neox},
                                                      {"opt", hf::opt},
                                                      {"llama", hf::llama},
                                                      {"mistral", hf::mistral},
                                                      {"qwen2", hf::qwen2},
                                                      {"qwen3", hf::qwen3},
                                                      {"falcon", hf::falcon},
                                                      {"phi", hf::phi},
                                                      {"phi3", hf::phi3},
                                                      {"gemma", hf::gemma},
                                                      {"gemma2", hf::gemma2},
                                                      {"gemma3_text", hf::gemma3_text}}};
  return families;
}

}  // namespace dtcalc
