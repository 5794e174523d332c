// How Hugging Face names and lays out the weights of GPT-2 and Llama shapes, beside this program's parameters. Called
// by the reader and the writer of its files (hf_weights.cpp).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/binding.hpp"

namespace dtcalc {

/// One tensor of the file: parameters of this program, one below the other. A matrix is (out, in) here; the file has it
/// so too, or transposed (GPT-2's Conv1D keeps (in, out)).
struct HfTensor {
  std::string name;                ///< as transformers writes it
  std::vector<std::size_t> parts;  ///< indices of parameters; GPT-2 stacks query, key and value
  bool transposed = false;
  bool rotary =
      false;  ///< rows of heads: the file pairs the halves of a head's rotary channels, whatever the model does
};

/// The tensors of a model whose weights fit GPT2LMHeadModel or LlamaForCausalLM; `parameters` as list_parameters gives
/// them. An error says what keeps the model from having either layout.
Result<std::vector<HfTensor>> hf_layout(const Model& model, const std::vector<ParameterView>& parameters);

/// The name without the prefix that some files leave out: `wte.weight` for `transformer.wte.weight`.
std::string short_name(const std::string& name);

/// Row of the file where row `row` of a tensor of heads lies: channel 2 i of a head with neighbours paired is channel i
/// of one with halves paired, 2 i + 1 is i + rotary / 2.
std::int64_t rotary_row(const Model& model, std::int64_t row);

/// config.json for the weights. An error for a rotary scaling other than none and llama3.
Result<nlohmann::ordered_json> hf_config_of(const Model& model);

}  // namespace dtcalc
