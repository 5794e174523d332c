#include "costmodel/graph/graph.hpp"

namespace dtcalc {

Choices choices_of(const Scenario& scenario, Work work) {
  const bool training = work == Work::training;
  const Model& m = scenario.model;
  const Software& w = scenario.software;
  const Training& t = scenario.training;
  Choices c{};
  c.position = m.position;
  c.block = m.block;
  c.norm = m.norm;
  c.norm_placement = m.norm_placement;
  c.activation = m.activation;
  c.qk_norm = m.qk_norm;
  c.attention = scenario.attention == AttentionKernel::automatic ? w.attention : scenario.attention;
  c.recompute = training ? t.recompute : Recompute::none;
  c.optimizer = t.optimizer;
  c.norm_affine = m.norm_affine;
  c.final_norm_affine = m.final_norm_affine;
  c.norm_bias = m.norm_bias;
  c.parallel_norms = m.parallel_norms;
  c.final_norm = m.final_norm;
  c.query_bias = m.query_bias;
  c.key_bias = m.key_bias;
  c.value_bias = m.value_bias;
  c.output_bias = m.attention_output_bias;
  c.mlp_bias = m.mlp_bias;
  c.head_bias = m.head_bias;
  c.serving = is_serving(work);
  c.decode = work == Work::decode;
  c.tensor = training ? t.parallel.tensor > 1 : c.serving && scenario.inference.tensor > 1;
  c.sequence = training && t.parallel.sequence;
  c.save_full_inputs = training && t.parallel.save_full_inputs;
  c.context = training && t.parallel.context > 1;
  c.tied = m.tied_embeddings;
  c.gated = m.gated_mlp;
  c.attention_softcap = m.attention_softcap > 0;
  c.final_softcap = m.final_softcap > 0;
  c.residual_dropout = training && m.residual_dropout > 0;
  c.attention_dropout = training && m.attention_dropout > 0;
  c.embedding_dropout = training && m.embedding_dropout > 0;
  c.training = training;
  c.clip = t.gradient_clip > 0;
  c.autocast = training && (t.precision == Precision::bf16_autocast || t.precision == Precision::fp16_autocast);
  static constexpr const char* kFreezable[] = {"embedding", "position", "norm", "query", "key", "value",
                                               "output",    "gate",     "up",   "down",  "head"};
  for (const std::string& name : t.frozen)
    for (int i = 0; i < static_cast<int>(ParameterClass::count); ++i)
      if (name == kFreezable[i]) c.frozen = static_cast<std::uint16_t>(c.frozen | (1u << i));
  c.one_layer = m.layers == 1;
  c.windowed = m.sliding_window > 0;
  c.mixed_windows = block_kinds(m) == 3;
  c.first_is_local = is_local(m, 0);
  c.fuse_embedding = w.fuse_embedding;
  c.fuse_bias = w.fuse_bias;
  c.fuse_residual_norm = w.fuse_residual_norm;
  c.fuse_softmax = w.fuse_softmax;
  c.fuse_gated_activation = w.fuse_gated_activation;
  c.fuse_loss = w.fuse_loss;
  c.fuse_output_dropout = w.fuse_output_dropout;
  c.fuse_optimizer = w.fuse_optimizer;
  c.in_place = w.in_place;
  c.store_dropout_masks = w.store_dropout_masks;
  c.save_norm_statistics = w.save_norm_statistics;
  c.recompute_segment = w.recompute_segment;
  c.fuse_qkv = w.fuse_qkv;
  c.fuse_gate_up = w.fuse_gate_up;
  c.fuse_rope_cache = w.fuse_rope_cache;
  return c;
}

}  // namespace dtcalc
