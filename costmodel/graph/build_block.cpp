// Attention, MLP and the block around them: Sec. 1 and 2 of the notes, as corrected by the errata (E01, E21, E23 for
// the block; E64 for the parallel form).
#include "costmodel/graph/builder.hpp"

namespace dtcalc {

using S = Symbol;

namespace {

constexpr Extent kScores{S::batch, S::heads, S::query, S::key};

}  // namespace

TensorId Builder::queries_or_keys(TensorId x, bool keys) {
  const Symbol heads = keys ? S::kv_heads : S::heads;
  const Extent width{heads, S::head};
  TensorId y = keys ? linear(Name::attention_key, Name::attention_key_bias, x, width, {S::hidden}, c_.key_bias,
                             ParameterClass::key)
                    : linear(Name::attention_query, Name::attention_query_bias, x, width, {S::hidden}, c_.query_bias,
                             ParameterClass::query);
  if (c_.qk_norm != QkNorm::none) {
    const Name name = keys ? Name::attention_key_norm : Name::attention_query_norm;
    const Extent weight = c_.qk_norm == QkNorm::per_head ? Extent{S::head} : width;
    const TensorId gamma = parameter(name, weight, "weight", ParameterClass::norm);
    const TensorId out = tensor(name, Width::activation, kRows * width);
    const Extent groups = c_.qk_norm == QkNorm::per_head ? kRows * Extent{heads} : kRows;
    const TensorId statistics =
        c_.training && c_.save_norm_statistics ? tensor(name, Width::statistic, groups, "statistics") : kNone;
    append(OperatorKind::head_norm, name, {y, gamma}, {out, statistics});
    y = out;
  }
  if (c_.position == Position::rope) {
    const Name name = keys ? Name::attention_key_rope : Name::attention_query_rope;
    const TensorId out = tensor(name, Width::activation, kRows * width);
    append(OperatorKind::rope, name, {y}, {out});
    y = out;
  }
  return y;
}

TensorId Builder::cached(TensorId x) {
  if (!c_.decode) {
    append(OperatorKind::cache, Name::attention_cache, {x}, {});
    return x;
  }
  const Symbol keys = s_.local ? S::local_key : S::key;
  const TensorId all = tensor(Name::attention_cache, Width::cache, {S::batch, keys, S::kv_heads, S::head}, "cache");
  s_.tensors[all].input = true;
  append(OperatorKind::cache, Name::attention_cache, {x}, {all});
  return all;
}

TensorId Builder::attention(TensorId x) {
  x = enter(Name::attention_gather, x);
  const TensorId q = queries_or_keys(x, false);
  TensorId k = queries_or_keys(x, true);
  TensorId v = linear(Name::attention_value, Name::attention_value_bias, x, {S::kv_heads, S::head}, {S::hidden},
                      c_.value_bias, ParameterClass::value);
  k = in_place(OperatorKind::ring, Name::attention_ring, k, c_.context);
  v = in_place(OperatorKind::ring, Name::attention_ring, v, c_.context);
  if (c_.serving) k = cached(k), v = cached(v);
  const Symbol pairs = s_.local ? S::model_pairs_local : S::model_pairs_global;
  const Extent product_flop = Extent{S::batch, S::heads, pairs, S::head} * 2;
  const auto core_from = s_.tensors.size();
  const auto op_from = s_.forward.size();

  const TensorId scores = tensor(Name::attention_scores, Width::activation, kScores);
  Operator& qk = append(OperatorKind::scores, Name::attention_scores, {q, k}, {scores});
  qk.m = {S::query}, qk.n = {S::key}, qk.k = {S::head}, qk.batch = {S::batch, S::heads}, qk.flop = product_flop;

  const TensorId masked = tensor(Name::attention_mask, Width::activation, kScores);
  append(OperatorKind::mask, Name::attention_mask, {scores}, {masked});
  TensorId p = tensor(Name::attention_softmax, Width::probability, kScores);
  const bool flash = c_.attention == AttentionKernel::flash;
  const std::size_t softmax = s_.forward.size();
  append(OperatorKind::softmax, Name::attention_softmax, {masked}, {p});
  if (c_.attention_dropout) p = dropout(Name::attention_dropout, p, 1);
  p = cast(p);
  for (auto t = core_from; t < s_.tensors.size(); ++t) {
    s_.tensors[t].core = !flash;
    s_.tensors[t].kept_inside = flash;
  }
  if (flash && c_.training)
    s_.forward[softmax].outputs[1] =
        tensor(Name::attention_softmax, Width::statistic, {S::batch, S::heads, S::query}, "log_sum_exp");

  const TensorId context = tensor(Name::attention_context, Width::activation, kRows * Extent{S::heads, S::head});
  Operator& pv = append(OperatorKind::context, Name::attention_context, {p, v}, {context});
  pv.m = {S::query}, pv.n = {S::head}, pv.k = {S::key}, pv.batch = {S::batch, S::heads}, pv.flop = product_flop;
  for (auto i = op_from; i < s_.forward.size(); ++i) s_.forward[i].core = true;

  TensorId y = row_linear(Name::attention_output, Name::attention_output_bias, Name::attention_reduce, context,
                          {S::heads, S::head}, c_.output_bias, ParameterClass::output);
  if (c_.residual_dropout) y = dropout(Name::attention_output_dropout, y, 2);
  return c_.norm_placement == NormPlacement::sandwich ? norm(Name::attention_output_norm, y, true) : y;
}

TensorId Builder::mlp(TensorId x) {
  const Extent width{S::mlp};
  x = enter(Name::mlp_gather, x);
  TensorId gate = kNone;
  if (c_.gated)
    gate = linear(Name::mlp_gate, Name::mlp_gate_bias, x, width, {S::hidden}, c_.mlp_bias, ParameterClass::gate);
  TensorId h = linear(Name::mlp_up, Name::mlp_up_bias, x, width, {S::hidden}, c_.mlp_bias, ParameterClass::up);
  const TensorId a = tensor(Name::mlp_activation, Width::activation, kRows * width);
  append(OperatorKind::activation, Name::mlp_activation, {c_.gated ? gate : h}, {a});
  if (c_.gated) {
    const TensorId product_out = tensor(Name::mlp_multiply, Width::activation, kRows * width);
    append(OperatorKind::multiply, Name::mlp_multiply, {a, h}, {product_out});
    h = product_out;
  } else {
    h = a;
  }
  TensorId y =
      row_linear(Name::mlp_down, Name::mlp_down_bias, Name::mlp_reduce, h, width, c_.mlp_bias, ParameterClass::down);
  if (c_.residual_dropout) y = dropout(Name::mlp_down_dropout, y, 3);
  return c_.norm_placement == NormPlacement::sandwich ? norm(Name::mlp_output_norm, y, true) : y;
}

void Builder::block() {
  s_.residual_in = tensor(Name::attention_residual, Width::stream, stream(), "input");
  TensorId r = s_.residual_in;
  if (c_.norm_placement == NormPlacement::post) {
    r = norm(Name::attention_norm, add(Name::attention_residual, r, attention(r)), true);
    s_.residual_out = norm(Name::mlp_norm, add(Name::mlp_residual, r, mlp(r)), true);
    return;
  }
  if (!s_.first) {
    s_.delta_in = tensor(Name::attention_residual, Width::activation, stream(), "delta");
    r = add(Name::attention_residual, r, s_.delta_in);
    s_.tensors[r].checkpoint = true;
  }
  const TensorId normed = norm(Name::attention_norm, r, c_.norm_affine);
  if (c_.block == BlockForm::parallel) {
    const TensorId second = c_.parallel_norms ? norm(Name::mlp_norm, r, c_.norm_affine) : normed;
    const TensorId a = attention(normed);
    s_.delta_out = add(Name::block_sum, a, mlp(second));
    s_.residual_out = r;
    return;
  }
  r = add(Name::mlp_residual, r, attention(normed));
  s_.delta_out = mlp(norm(Name::mlp_norm, r, c_.norm_affine));
  s_.residual_out = r;
}

}  // namespace dtcalc
