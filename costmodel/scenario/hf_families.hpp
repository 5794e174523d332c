// The families of Hugging Face configurations and the parts they share. Internal: hf_config.cpp reads a document with
// them.
//
// Defaults are those of transformers 5.23.0, configuration_<model_type>.py; where older versions spell a key otherwise
// (rope_theta beside rope_parameters, rope_scaling, rotary_pct) both spellings are read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/scenario/hf_reader.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

struct HfFamily {
  std::string_view model_type;
  Model (*read)(HfReader&);
};
std::span<const HfFamily> hf_families();

/// How a family spells its rotation, and what it takes for missing keys.
struct HfRopeKeys {
  double base = 10000;
  double rotary_part = 1;  ///< default of partial_rotary_factor
  bool may_be_partial = false;
  std::int64_t original_positions = 0;  ///< default of original_max_position_embeddings
  std::string base_key = "rope_theta";
  std::string part_key = "partial_rotary_factor";
};

/// head_size, derived where the model leaves it 0.
std::int64_t hf_head_size(const Model& model);

/// RoPE of a model whose heads, hidden_size, head_size and max_sequence are read; errors go to the reader.
void read_hf_rope(HfReader& reader, Model& model, const HfRopeKeys& keys);

/// Which layers are local, from a list of kinds: the last of each n is global, or all are alike.
void read_hf_layer_types(HfReader& reader, Model& model, const std::vector<std::string>& types);

// One function per family, in hf_families_gpt.cpp, hf_families_llama.cpp and hf_families_gemma.cpp; and what they
// share.
namespace hf {

void set_attention_biases(Model& model, bool qkv, bool output);

/// head_dim, where the family's default may be hidden_size / heads (`absent` = 0).
void read_head_size(HfReader& reader, Model& model, std::int64_t absent);

/// What Llama and its descendants share: RMSNorm, gated MLP, RoPE, no biases.
Model llama_like(HfReader& reader);

Model gpt2(HfReader& reader);
Model gptj(HfReader& reader);
Model gpt_neox(HfReader& reader);
Model opt(HfReader& reader);
Model falcon(HfReader& reader);
Model phi(HfReader& reader);

Model llama(HfReader& reader);
Model mistral(HfReader& reader);
Model qwen2(HfReader& reader);
Model qwen3(HfReader& reader);
Model phi3(HfReader& reader);

Model gemma(HfReader& reader);
Model gemma2(HfReader& reader);
Model gemma3_text(HfReader& reader);

}  // namespace hf

}  // namespace dtcalc
