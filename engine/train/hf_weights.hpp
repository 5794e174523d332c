// Weights in Hugging Face's safetensors layout, in and out, for GPT-2 and Llama shapes on any backend. Called by the
// training loop (`dtcalc run train --weights`, `--export`) and by comparisons with PyTorch. docs/checkpoint.md.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/binding.hpp"
#include "engine/io/safetensors.hpp"

namespace dtcalc {

/// Parameters of a model in memory: `views` as list_parameters gives them, `tensors` of the same order in fp32 or fp64
/// (StateTensors::parameters).
struct ModelWeights {
  const Model& model;
  const std::vector<ParameterView>& views;
  const std::vector<safetensors::TensorTarget>& tensors;
};

/// Fills the parameters from a file, or from all `*.safetensors` of a folder (sharded models): F32, F16, BF16 or F64.
/// Every parameter must be there in its shape, and nothing that the model does not have.
[[nodiscard]] std::optional<Error> load_hf_weights(const std::filesystem::path& path, const ModelWeights& weights);

/// Writes `folder` with model.safetensors (F32) and config.json, whole or not at all; what stood there is replaced.
[[nodiscard]] std::optional<Error> save_hf_weights(const std::filesystem::path& folder, const ModelWeights& weights);

}  // namespace dtcalc
