// The append-only table of operator names. Groups are named after an operator, runs are joined by these integers, and
// files store the text. Never reorder, never reuse.
#pragma once

#include <cstdint>
#include <string_view>

namespace dtcalc {

enum class Name : std::uint8_t {
  embedding_token,
  embedding_position,
  embedding_dropout,
  attention_residual,
  attention_norm,
  attention_query,
  attention_query_bias,
  attention_key,
  attention_key_bias,
  attention_value,
  attention_value_bias,
  attention_query_norm,
  attention_key_norm,
  attention_query_rope,
  attention_key_rope,
  attention_scores,
  attention_mask,
  attention_softmax,
  attention_dropout,
  attention_context,
  attention_output,
  attention_output_bias,
  attention_output_dropout,
  attention_output_norm,
  mlp_residual,
  mlp_norm,
  mlp_gate,
  mlp_gate_bias,
  mlp_up,
  mlp_up_bias,
  mlp_activation,
  mlp_multiply,
  mlp_down,
  mlp_down_bias,
  mlp_down_dropout,
  mlp_output_norm,
  block_sum,
  final_residual,
  final_norm,
  head_product,
  head_bias,
  head_softcap,
  loss_max,
  loss_sum,
  loss_target,
  optimizer_norm,
  optimizer_update,
  cast,
  embedding_reduce,
  attention_gather,
  attention_ring,
  attention_reduce,
  mlp_gather,
  mlp_reduce,
  head_gather,
  loss_reduce,
  attention_cache,
  head_select,
  embedding_patch,
  embedding_patch_bias,
  embedding_class,
  embedding_norm,
  head_normalize,
  head_exchange,
  attention_query_adapter,
  attention_key_adapter,
  attention_value_adapter,
  attention_output_adapter,
  mlp_gate_adapter,
  mlp_up_adapter,
  mlp_down_adapter,
  count
};

/// `block.attention.query`
std::string_view text(Name name);

}  // namespace dtcalc
