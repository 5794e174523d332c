#include "costmodel/lower/contract.hpp"

#include <algorithm>
#include <cassert>

namespace dtcalc {

const ContractInfo& info(Contract contract) {
  constexpr Access r = Access::read, w = Access::write, u = Access::update;
  // The operand's position here is its position in Kernel::operands.
  static constexpr std::array<ContractInfo, kContracts> kTable = {{
      {"embedding", false, {{{"tokens", r}, {"table", r, true}, {"positions", r}, {"out", w}, {"mask", w}}}},
      {"position_add", false, {{{"x", r}, {"positions", r}, {"out", w}}}},
      {"add", false, {{{"a", r}, {"b", r}, {"out", w}}}},
      {"norm",
       false,
       {{{"x", r}, {"delta", r}, {"residual", w}, {"gamma", r}, {"beta", r}, {"out", w}, {"statistics", w}}}},
      {"product", true, {{{"x", r}, {"weight", r}, {"out", w}, {"bias", r}}}},
      {"bias_dropout", false, {{{"x", r}, {"bias", r}, {"out", w}, {"mask", w}}}},
      {"head_norm", false, {{{"x", r}, {"gamma", r}, {"out", w}, {"statistics", w}}}},
      {"rope", false, {{{"x", r}, {"out", w}}}},
      {"scores", true, {{{"query", r}, {"key", r}, {"out", w}}}},
      {"mask", false, {{{"scores", r}, {"out", w}}}},
      {"softmax", false, {{{"scores", r}, {"probabilities", w}, {"dropped", w}, {"mask", w}}}},
      {"context", true, {{{"probabilities", r}, {"value", r}, {"out", w}}}},
      {"flash", true, {{{"query", r}, {"key", r}, {"value", r}, {"out", w}, {"log_sum_exp", w}}}},
      {"activation", false, {{{"x", r}, {"up", r}, {"out", w}}}},
      {"multiply", false, {{{"a", r}, {"b", r}, {"out", w}}}},
      {"softcap", false, {{{"x", r}, {"out", w}}}},
      {"cast", false, {{{"x", r}, {"out", w}}}},
      {"loss_max", false, {{{"logits", r}, {"max", w}}}},
      {"loss_sum", false, {{{"logits", r}, {"max", r}, {"sum", w}}}},
      {"loss_target", false, {{{"logits", r, true}, {"targets", r}, {"max", r}, {"sum", r}, {"loss", w}}}},
      {"loss", false, {{{"logits", r}, {"targets", r}, {"loss", w}, {"gradient", w}}}},
      {"product_input", true, {{{"dy", r}, {"weight", r}, {"dx", w}}}},
      {"product_weight", true, {{{"dy", r}, {"x", r}, {"dweight", w}}}},
      {"bias_gradient", false, {{{"dy", r}, {"dbias", u}}}},
      {"dropout_backward", false, {{{"dy", r}, {"mask", r}, {"dx", w}}}},
      {"norm_backward",
       false,
       {{{"dy", r}, {"x", r}, {"gamma", r}, {"statistics", r}, {"dx", w}, {"dgamma", u}, {"dbeta", u}}}},
      {"head_norm_backward", false, {{{"dy", r}, {"x", r}, {"gamma", r}, {"statistics", r}, {"dx", w}, {"dgamma", u}}}},
      {"rope_backward", false, {{{"dy", r}, {"dx", w}}}},
      {"scores_query", true, {{{"ds", r}, {"key", r}, {"dquery", w}}}},
      {"scores_key", true, {{{"ds", r}, {"query", r}, {"dkey", w}}}},
      {"mask_backward", false, {{{"dy", r}, {"scores", r}, {"dx", w}}}},
      {"softmax_backward", false, {{{"dp", r}, {"probabilities", r}, {"mask", r}, {"scores", r}, {"ds", w}}}},
      {"context_probabilities", true, {{{"dy", r}, {"value", r}, {"dp", w}}}},
      {"context_value", true, {{{"dy", r}, {"probabilities", r}, {"dvalue", w}}}},
      {"flash_backward",
       true,
       {{{"query", r},
         {"key", r},
         {"value", r},
         {"out", r},
         {"log_sum_exp", r},
         {"dy", r},
         {"dquery", w},
         {"dkey", w},
         {"dvalue", w}}}},
      {"activation_backward", false, {{{"dy", r}, {"x", r}, {"y", r}, {"up", r}, {"dx", w}, {"dup", w}}}},
      {"multiply_backward", false, {{{"dy", r}, {"a", r}, {"b", r}, {"da", w}, {"db", w}}}},
      {"softcap_backward", false, {{{"dy", r}, {"y", r}, {"dx", w}}}},
      {"cast_backward", false, {{{"dy", r}, {"dx", w}}}},
      {"loss_backward", false, {{{"logits", r}, {"targets", r}, {"max", r}, {"sum", r}, {"gradient", w}}}},
      {"embedding_backward", false, {{{"dy", r}, {"tokens", r}, {"dtable", u, true}, {"dpositions", u}}}},
      {"position_backward", false, {{{"dy", r}, {"dpositions", u}}}},
      {"gradient_norm", false, {}},
      {"optimizer", false, {}},
      {"cache_append", false, {{{"x", u}}}},
      {"select", false, {{{"x", r, true}, {"out", w}}}},
      {"select_backward", false, {{{"dy", r}, {"dx", w}}}},
      {"class_token", false, {{{"x", r}, {"token", r}, {"out", w}}}},
      {"class_token_backward", false, {{{"dy", r}, {"dx", w}, {"dtoken", u}}}},
      {"unpack", false, {{{"packed", r}, {"out", w}}}},
      {"cast_fp8", false, {{{"x", r}, {"out", w}, {"transposed", w}}}},
      {"all_reduce", false, {{{"x", u}}}},
      {"all_gather", false, {{{"shard", r}, {"whole", w}}}},
      {"reduce_scatter", false, {{{"whole", r}, {"shard", w}}}},
      {"ring", false, {{{"x", r}}}},
      {"ring_backward", false, {{{"dx", u}, {"x", r}}}},
  }};
  return kTable[static_cast<std::size_t>(contract)];
}

std::string_view activation_law(int activation, bool gated, bool backward) {
  static constexpr std::string_view kNames[6][2][2] = {
      {{"activation.gelu", "activation_backward.gelu"}, {"activation.gelu.gated", "activation_backward.gelu.gated"}},
      {{"activation.gelu_tanh", "activation_backward.gelu_tanh"},
       {"activation.gelu_tanh.gated", "activation_backward.gelu_tanh.gated"}},
      {{"activation.relu", "activation_backward.relu"}, {"activation.relu.gated", "activation_backward.relu.gated"}},
      {{"activation.tanh", "activation_backward.tanh"}, {"activation.tanh.gated", "activation_backward.tanh.gated"}},
      {{"activation.sigmoid", "activation_backward.sigmoid"},
       {"activation.sigmoid.gated", "activation_backward.sigmoid.gated"}},
      {{"activation.silu", "activation_backward.silu"}, {"activation.silu.gated", "activation_backward.silu.gated"}}};
  return kNames[activation][gated ? 1 : 0][backward ? 1 : 0];
}

LawId law_id(std::string_view law) {
  static const std::array<std::string_view, kLaws> kNames = [] {
    std::array<std::string_view, kLaws> names;
    std::size_t at = 0;
    for (int c = 0; c < kContracts; ++c) names[at++] = info(static_cast<Contract>(c)).name;
    for (std::string_view variant :
         {"norm.layer", "norm.rms", "norm_backward.layer", "norm_backward.rms", "bias_dropout.dropout",
          "softmax.dropout", "softmax_backward.dropout", "flash.dropout", "flash_backward.dropout", "embedding.dropout",
          "optimizer.adamw", "optimizer.sgd", "product.odd", "product_input.odd", "product_weight.odd", "cast_fp8.one"})
      names[at++] = variant;
    for (int activation = 0; activation < 6; ++activation)
      for (int form = 0; form < 4; ++form) names[at++] = activation_law(activation, form & 1, form & 2);
    assert(at == names.size());
    return names;
  }();
  const auto found = std::find(kNames.begin(), kNames.end(), law);
  return found == kNames.end() ? kNoLaw : static_cast<LawId>(found - kNames.begin());
}

LawId law_of_odd_rows(LawId product) {
  static const std::array<LawId, 3> kOdd{law_id("product.odd"), law_id("product_input.odd"),
                                         law_id("product_weight.odd")};
  return product == static_cast<LawId>(Contract::product)         ? kOdd[0]
         : product == static_cast<LawId>(Contract::product_input) ? kOdd[1]
                                                                  : kOdd[2];
}

}  // namespace dtcalc
