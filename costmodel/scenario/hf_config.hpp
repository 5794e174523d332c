// A Hugging Face `config.json` as a Model. Called by the loader for `--model` and by `dtcalc import`.
//
// Families: gpt2, gptj, gpt_neox, opt, llama, mistral, qwen2, qwen3, falcon, phi, phi3, gemma, gemma2, gemma3_text. A
// missing key takes transformers' default for that model_type. A field that would change the graph and is not modelled
// is an error that names it: never a wrong number.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Whether a document is a Hugging Face configuration (it says its "model_type").
bool is_hf_config(const nlohmann::json& document);

/// The model_type values that are known.
std::vector<std::string_view> hf_model_types();

/// The model; places of errors are JSON pointers in the document, behind `name` (usually the file).
Result<Model> model_from_hf_config(const nlohmann::json& document, const std::string& name);

}  // namespace dtcalc
