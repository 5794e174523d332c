// Models, software profiles and scenarios that tests of the graph and of the engine share. Written out here rather than
// loaded, so that a mistake in a preset cannot hide a mistake in the graph.
#pragma once

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::test {

/// A small model with every size different, so that swapped sizes show.
inline Model small_model() {
  Model m;
  m.name = "small";
  m.layers = 3;
  m.hidden_size = 24;
  m.heads = 6;
  m.kv_heads = 6;
  m.head_size = 4;
  m.mlp_size = 80;
  m.vocabulary_size = 53;
  m.max_sequence = 17;
  return m;
}

/// Sizes that 2, 4 and 8 divide, all different.
inline Model divisible_model() {
  Model m = small_model();
  m.layers = 8;
  m.hidden_size = 96;
  m.heads = m.kv_heads = 8;
  m.head_size = 12;
  m.mlp_size = 320;
  m.vocabulary_size = 1040;
  m.max_sequence = 64;
  return m;
}

/// The notes' accounting: nothing fused, masks stored, no statistics, recomputation replays the segment.
inline Software notes_software() {
  Software s;
  s.id = "notes";
  s.save_norm_statistics = false;
  s.flash_skips_masked_tiles = false;
  return s;
}

/// The CPU engine's stack.
inline Software cpu_software() {
  Software s;
  s.id = "dtcalc-cpu";
  s.fuse_embedding = s.fuse_bias = s.fuse_residual_norm = s.fuse_softmax = s.fuse_gated_activation = s.fuse_loss = true;
  s.fuse_output_dropout = s.in_place = true;
  s.store_dropout_masks = false;
  s.recompute_segment = false;
  s.alignment_bytes = 64;
  return s;
}

inline Scenario training_scenario(const Model& model, const Software& software) {
  Scenario s;
  s.model = model;
  s.software = software;
  s.has_training = true;
  s.training.sequence = model.max_sequence;
  s.training.micro_batch = s.training.global_batch = 2;
  s.hardware.compute = {{Dtype::fp64, FlopPerSecond(1e11)},
                        {Dtype::fp32, FlopPerSecond(2e11)},
                        {Dtype::fp16, FlopPerSecond(312e12)},
                        {Dtype::bf16, FlopPerSecond(312e12)}};
  s.hardware.memory_bandwidth = BytesPerSecond(2.039e12);
  s.hardware.memory = Bytes(85899345920);
  s.hardware.multiprocessors = 2;
  return s;
}

/// The same model in the closed forms' symbols.
inline formulas::Architecture architecture_of(const Model& m) {
  using namespace formulas;
  Architecture a;
  a.L = m.layers, a.D = m.hidden_size, a.A = m.heads, a.G = m.kv_heads, a.H = m.head_size, a.F = m.mlp_size;
  a.V = m.vocabulary_size, a.K = position_rows(m);
  a.glu = m.gated_mlp;
  switch (m.activation) {
    case Activation::gelu:
    case Activation::gelu_tanh:
      a.act = Nonlinearity::gelu;
      break;
    case Activation::relu:
      a.act = Nonlinearity::relu;
      break;
    case Activation::tanh:
      a.act = Nonlinearity::tanh;
      break;
    case Activation::sigmoid:
      a.act = Nonlinearity::sigmoid;
      break;
    case Activation::silu:
      a.act = Nonlinearity::silu;
      break;
  }
  a.qkv_bias = m.query_bias;
  a.o_bias = m.attention_output_bias;
  a.mlp_bias = m.mlp_bias;
  a.norm = m.norm == Norm::rms_norm ? NormKind::rmsnorm
           : m.norm_bias            ? NormKind::layernorm
                                    : NormKind::layernorm_nobias;
  a.query_key_norm = m.qk_norm == QkNorm::none       ? QueryKeyNorm::none
                     : m.qk_norm == QkNorm::per_head ? QueryKeyNorm::per_head
                                                     : QueryKeyNorm::full;
  a.parallel = m.block == BlockForm::parallel;
  a.norms_per_block = a.parallel ? (m.parallel_norms ? 2 : 1) : m.norm_placement == NormPlacement::sandwich ? 4 : 2;
  a.pos = m.position == Position::learned ? Positions::learned
          : m.position == Position::rope  ? Positions::rope
          : m.position == Position::alibi ? Positions::alibi
                                          : Positions::none;
  a.tied = m.tied_embeddings;
  a.head_bias = m.head_bias;
  a.final_norm = m.final_norm;
  return a;
}

}  // namespace dtcalc::test
