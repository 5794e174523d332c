// The discrete choices a scenario can make. Each enumerator's JSON spelling is its own name (`rms_norm`, `gelu_tanh`).
#pragma once

#include <cstdint>

namespace dtcalc {

enum class Dtype : std::uint8_t { fp64, fp32, tf32, fp16, bf16, fp8, fp4 };

/// Bytes of one stored element times two (fp4 is half a byte; tf32 is stored in four bytes).
constexpr int half_bytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::fp64:
      return 16;
    case Dtype::fp32:
    case Dtype::tf32:
      return 8;
    case Dtype::fp16:
    case Dtype::bf16:
      return 4;
    case Dtype::fp8:
      return 2;
    case Dtype::fp4:
      return 1;
  }
  return 0;
}

enum class Position : std::uint8_t { none, learned, rope, alibi };
enum class Norm : std::uint8_t { layer_norm, rms_norm };
/// pre: z + f(norm z); post: norm(z + f(z)); sandwich: z + norm(f(norm z)) (Gemma 2).
enum class NormPlacement : std::uint8_t { pre, post, sandwich };
/// serial: (1.10) with E23; parallel: (2.4), attention and MLP read the same residual stream.
enum class BlockForm : std::uint8_t { serial, parallel };
enum class Activation : std::uint8_t { gelu, gelu_tanh, relu, tanh, sigmoid, silu };
/// Factor on the attention scores: 1/sqrt(head_size) as in (1.4), 1/head_size (muP), or `attention_scale_value`.
enum class AttentionScale : std::uint8_t { inverse_sqrt_head_size, inverse_head_size, given };
/// Which channels rotate together (E20): neighbours (2i, 2i+1) as in GPT-J, or halves (i, i + rotary/2) as in Llama.
enum class RopePairing : std::uint8_t { neighbours, halves };
enum class RopeScaling : std::uint8_t { none, linear, dynamic, llama3, yarn, longrope };
/// Norm on queries and keys: none, one weight vector of head_size shared by the heads (Qwen3, Gemma 3), or one of
/// heads x head_size (OLMo 2).
enum class QkNorm : std::uint8_t { none, per_head, full };

/// What a model reads: token ids, or an image cut into patches (Sec. 8).
enum class ModelInput : std::uint8_t { tokens, image };
/// What stands on the last block, and with it the loss.
///   language   logits over the vocabulary at every position (1.11)
///   classes    logits over classes, from one position of a sequence (Sec. 8)
///   contrast   a vector per sequence, compared with those of the other tower (Sec. 9)
///   reward     a number per sequence (7.1)
///   value      a number per position: the critic of PPO
enum class Head : std::uint8_t { language, classes, contrast, reward, value };
/// What an optimizer step trains on (docs/fine-tuning.md).
///   supervised  the model's own loss; pre-training and supervised fine-tuning cost the same
///   reward      a reward model from pairs of answers, (7.1)
///   dpo         the policy from pairs of answers and a frozen reference, (7.6)
///   ppo         the policy from its own answers, with reward model, value model and frozen reference, (7.2)
enum class Method : std::uint8_t { supervised, reward, dpo, ppo };

/// Which tensors are stored in which precision. Bytes per parameter of the training state in brackets.
///   fp32           everything in 4 bytes (16 with Adam)
///   bf16/fp16_mixed   2-byte weights, fp32 gradients, master weights and moments (18: Megatron, E60)
///   bf16/fp16_mixed_low_gradients   the same with 2-byte gradients (16: ZeRO's accounting)
///   bf16/fp16_autocast   fp32 weights and gradients, transient 2-byte casts of the weights (16: torch.autocast, E60)
///   fp64           for checks on the CPU engine only
///   fp8_mixed      bf16_mixed whose products with the blocks' weights run in fp8 (E4M3 forward, E5M2 gradients);
///   weights
///                  are kept in fp8, plain and transposed, in the two bytes of bf16 (18)
///   bf16_fsdp      fp32 shards of weights and gradients, gathered and computed with in 2 bytes (16: FSDP2's mixed
///                  precision); with ZeRO stage 3 only
enum class Precision : std::uint8_t {
  fp32,
  tf32,
  bf16_mixed,
  fp16_mixed,
  bf16_mixed_low_gradients,
  fp16_mixed_low_gradients,
  bf16_autocast,
  fp16_autocast,
  fp64,
  fp8_mixed,
  bf16_fsdp
};
/// What the backward pass computes again: nothing, the attention core, everything between block inputs, or all but
/// attention's result and every second product's (torchtitan's selective checkpointing per operator).
enum class Recompute : std::uint8_t { none, selective, full, per_operator };
enum class AttentionKernel : std::uint8_t { automatic, naive, flash };
/// Update rule. adam8bit keeps AdamW's moments in 8 bits (Dettmers et al. 2022, sizes.hpp).
enum class Optimizer : std::uint8_t { sgd, momentum, adamw, adam8bit };
/// Convention for the model FLOPs of causal attention: the full S x S square (as [5], PaLM and the notes) or S(S+1)/2.
enum class CausalFlop : std::uint8_t { full, half };
/// Order in which a stage runs the forward and backward passes of its micro-batches (7.5).
///   gpipe        all forward, then all backward
///   one_f_one_b  after the warm-up one forward, one backward (PipeDream-flush)
///   interleaved  1F1B over several chunks of layers per stage (Narayanan et al. 2021)
///   zero_bubble  1F1B with the weight gradients moved into the bubble (ZB-H1, Qi et al. 2023)
enum class PipelineSchedule : std::uint8_t { gpipe, one_f_one_b, interleaved, zero_bubble };
/// Which positions a rank of the context ring holds (7.4.1, E10, E47): consecutive ones, every R-th, or the r-th chunk
/// of 2R from either end.
enum class ContextSharding : std::uint8_t { naive, striped, zigzag };
/// Generations of fused attention that a stack may carry; their achieved fractions are in evaluate/attention_law.cpp.
enum class FlashKernel : std::uint8_t { flash_1, triton, flash_2, flash_3, cudnn };
/// GPU generations whose tiles of matrix products are known (evaluate/product_law.cpp); `other` has the plain roofline.
/// Who hands out device memory (caching_allocator.hpp). none: buffers are placed once, and nothing is held beside them.
enum class Allocator : std::uint8_t { none, pytorch, pytorch_expandable };

enum class GpuArchitecture : std::uint8_t { other, volta, ampere, ada, hopper, blackwell };
/// Where a figure of a hardware profile comes from.
enum class Origin : std::uint8_t { datasheet, analytic, calibrated, measured };

}  // namespace dtcalc
