#include "engine/cuda/refusal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "costmodel/evaluate/sizes.hpp"
#include "engine/refusal.hpp"
#include "kernels/attention_flash.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/head_norm_rope.hpp"
#include "kernels/norm.hpp"
#include "kernels/optimizer.hpp"

namespace dtcalc::cuda {
namespace {

AttentionShape attention_shape(const Scenario& s) {
  const Model& m = s.model;
  return {s.training.micro_batch, s.training.sequence, s.training.sequence, m.heads, m.kv_heads, m.head_size};
}

bool implemented(Precision p) {
  return p == Precision::fp32 || p == Precision::tf32 || p == Precision::bf16_mixed || p == Precision::fp16_mixed ||
         p == Precision::fp8_mixed;
}

/// Rows of fp8 operands, and those of their transposes, are multiples of 16 bytes (cuBLAS documentation,
/// cublasLtMatmul, "to use FP8 kernels").
std::optional<Error> refuse_fp8(const Scenario& s, const Choices& c) {
  if (s.training.precision != Precision::fp8_mixed) return std::nullopt;
  if (!c.quantize)
    return Error{"/software/fp8_casts", "false", "the CUDA engine casts to fp8 by kernels of their own",
                 "set software.fp8_casts=true"};
  const Model& m = s.model;
  const std::pair<const char*, std::int64_t> sizes[] = {{"/training/sequence", s.training.sequence},
                                                        {"/model/hidden_size", m.hidden_size},
                                                        {"/model/head_size", m.heads * m.head_size},
                                                        {"/model/kv_heads", m.kv_heads * m.head_size},
                                                        {"/model/mlp_size", m.mlp_size}};
  for (const auto& [place, size] : sizes)
    if (size % 16 != 0)
      return Error{place, fmt::format("{}", size), "is the length of rows in fp8, which come in multiples of 16",
                   "choose sizes that 16 divides or set training.precision=bf16_mixed"};
  return std::nullopt;
}

}  // namespace

std::optional<Error> refuse(const Scenario& s) {
  const Choices c = choices_of(s, true);
  if (auto error = refuse_everywhere(s)) return error;
  if (s.software.id != "dtcalc-cuda")
    return Error{"/software", s.software.id, "is not the stack of this program's GPU kernels", "use dtcalc-cuda"};
  if (!implemented(s.training.precision))
    return Error{"/training/precision", "",
                 "the CUDA engine computes in fp32, tf32, bf16_mixed, fp16_mixed or fp8_mixed",
                 "set training.precision=bf16_mixed"};
  if (auto error = refuse_fp8(s, c)) return error;
  if (c.autocast || !c.fuse_softmax || !c.fuse_loss || c.store_dropout_masks || !c.save_norm_statistics)
    return Error{"/software", s.software.id, "was changed into a stack that the CUDA kernels do not implement",
                 "use the preset dtcalc-cuda as it is"};
  if (c.attention == AttentionKernel::flash)
    if (const char* reason = flash_refusal(attention_shape(s)))
      return Error{"/model/head_size", fmt::format("{}", s.model.head_size), reason, "set attention=naive"};
  return std::nullopt;
}

std::int64_t kernel_workspace_bytes(const Scenario& s) {
  const Model& m = s.model;
  const std::int64_t rows = s.training.micro_batch * s.training.sequence;
  const std::int64_t widest =
      std::max({m.hidden_size, m.mlp_size, m.heads * m.head_size, m.head_bias ? m.vocabulary_size : 0});
  EmbeddingShape embedding;
  embedding.batch = s.training.micro_batch, embedding.sequence = s.training.sequence;
  embedding.hidden = m.hidden_size, embedding.vocabulary = m.vocabulary_size;
  HeadNormRope heads{s.training.micro_batch, s.training.sequence, m.heads, m.head_size};
  heads.norm = m.qk_norm;
  std::int64_t most =
      std::max({norm_backward_workspace_bytes(rows, m.hidden_size), bias_gradient_workspace_bytes(rows, widest),
                embedding_backward_workspace_bytes(embedding), head_norm_rope_backward_workspace_bytes(heads),
                squared_norm_workspace_bytes()});
  if (choices_of(s, true).attention == AttentionKernel::flash)
    most = std::max(most, flash_backward_workspace_bytes(attention_shape(s), may_be_hopper(s.hardware.architecture)));
  return most;
}

std::optional<Error> refuse_workspace(const Scenario& scenario, const CudaWorkspace& workspace) {
  const std::int64_t needed = kernel_workspace_bytes(scenario);
  if (needed <= workspace.temporary.value()) return std::nullopt;
  return Error{"/training", fmt::format("{} bytes", needed),
               fmt::format("of scratch are asked for by a kernel, and {} are planned", workspace.temporary.value()),
               "report it with the scenario"};
}

}  // namespace dtcalc::cuda
