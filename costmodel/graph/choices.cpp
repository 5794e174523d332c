#include "costmodel/graph/graph.hpp"

namespace dtcalc {
namespace {

constexpr unsigned bit(ParameterClass group) { return 1u << static_cast<int>(group); }

}  // namespace

ParameterClass parameter_class(std::string_view group) {
  static constexpr std::string_view kNames[] = {"embedding", "position", "norm", "query", "key", "value",
                                                "output",    "gate",     "up",   "down",  "head"};
  int i = 0;
  for (const std::string_view name : kNames) {
    if (name == group) return static_cast<ParameterClass>(i);
    ++i;
  }
  return ParameterClass::count;
}

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
  c.input = m.input;
  c.head = m.head;
  c.patch_bias = m.patch_bias;
  c.class_token = m.class_token;
  c.embedding_norm = m.embedding_norm;
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
  for (const std::string& group : t.frozen)
    c.frozen = static_cast<std::uint16_t>(c.frozen | bit(parameter_class(group)));
  if (t.adapter.rank > 0) {
    constexpr unsigned all = (1u << static_cast<int>(ParameterClass::adapter)) - 1;
    const bool new_head = m.head != Head::language && m.head != Head::contrast;
    c.frozen = static_cast<std::uint16_t>(new_head ? all & ~bit(ParameterClass::head) : all);
    for (const std::string& target : t.adapter.targets)
      if (training) c.adapted = static_cast<std::uint16_t>(c.adapted | bit(parameter_class(target)));
  }
  c.packed = training && half_bytes(t.frozen_weights) <= half_bytes(Dtype::fp8);
  const unsigned before = bit(ParameterClass::embedding) |
                          (m.position == Position::learned ? bit(ParameterClass::position) : 0) |
                          (m.embedding_norm ? bit(ParameterClass::norm) : 0);
  c.cut = training && t.parallel.pipeline > 1 && (c.frozen & before) == before;
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
  c.fuse_norm = w.fuse_norm;
  c.fuse_rope = w.fuse_rope;
  c.copy_logits = w.copy_logits;
  c.keep_unread_results = w.keep_unread_results;
  c.keep_attention_result = w.keep_attention_result;
  c.quantize = w.fp8_casts && t.precision == Precision::fp8_mixed && !is_serving(work);
  return c;
}

}  // namespace dtcalc
