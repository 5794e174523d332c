// What lies before the first block and behind the last one: embeddings, final norm, head, loss.
#include "costmodel/graph/builder.hpp"

namespace dtcalc {

using S = Symbol;

void Builder::prologue() {
  const TensorId tokens = input(Name::embedding_token, "tokens");
  const TensorId table =
      parameter(Name::embedding_token, {S::vocabulary, S::hidden}, "weight", ParameterClass::embedding, {S::hidden});
  TensorId x = tensor(Name::embedding_token, Width::stream, kFull);
  append(OperatorKind::token_embedding, Name::embedding_token, {tokens, table}, {x});
  x = leave(Name::embedding_reduce, x);
  if (c_.position == Position::learned) {
    const TensorId positions =
        parameter(Name::embedding_position, {S::positions, S::hidden}, "weight", ParameterClass::position, {S::hidden});
    const TensorId y = tensor(Name::embedding_position, Width::stream, stream());
    append(OperatorKind::position_embedding, Name::embedding_position, {x, positions}, {y});
    x = y;
  }
  if (c_.embedding_dropout) x = dropout(Name::embedding_dropout, x, 0);
  s_.residual_out = x;
}

void Builder::epilogue() {
  s_.residual_in = tensor(Name::final_residual, Width::stream, stream(), "input");
  TensorId x = s_.residual_in;
  if (c_.norm_placement != NormPlacement::post) {
    s_.delta_in = tensor(Name::final_residual, Width::activation, stream(), "delta");
    x = add(Name::final_residual, x, s_.delta_in);
  }
  if (c_.final_norm) x = norm(Name::final_norm, x, c_.final_norm_affine);
  const TensorId weight = parameter(Name::head_product, {S::vocabulary, S::hidden}, "weight",
                                    c_.tied ? ParameterClass::embedding : ParameterClass::head, {S::hidden});
  s_.tensors[weight].tied = c_.tied;
  if (c_.serving) {
    const TensorId last = tensor(Name::head_select, s_.tensors[x].width, {S::batch, S::hidden});
    append(OperatorKind::select, Name::head_select, {x}, {last});
    x = last;
    product_rows_ = {S::batch};
  }
  TensorId logits = product(Name::head_product, enter(Name::head_gather, x), weight, {S::vocabulary}, {S::hidden});
  s_.tensors[logits].width = Width::logits;
  if (c_.head_bias)
    logits =
        bias(Name::head_bias, logits, parameter(Name::head_product, {S::vocabulary}, "bias", ParameterClass::head));
  if (c_.final_softcap) {
    const TensorId capped = tensor(Name::head_softcap, Width::logits, product_rows_ * Extent{S::vocabulary});
    append(OperatorKind::softcap, Name::head_softcap, {logits}, {capped});
    logits = capped;
  }
  if (c_.serving) return;
  // (1.12) with E22, split where a vocabulary-parallel layout needs a collective (E33).
  const TensorId targets = input(Name::loss_target, "targets");
  const TensorId max = tensor(Name::loss_max, Width::statistic, kRows);
  const TensorId sum = tensor(Name::loss_sum, Width::statistic, kRows);
  const TensorId loss = tensor(Name::loss_target, Width::statistic, kRows, "loss");
  append(OperatorKind::loss_max, Name::loss_max, {logits}, {max});
  const TensorId all_max = in_place(OperatorKind::reduce, Name::loss_reduce, max, c_.tensor);
  append(OperatorKind::loss_sum, Name::loss_sum, {logits, all_max}, {sum});
  const TensorId all_sum = in_place(OperatorKind::reduce, Name::loss_reduce, sum, c_.tensor);
  append(OperatorKind::loss_target, Name::loss_target, {logits, targets, all_max, all_sum}, {loss});
  in_place(OperatorKind::reduce, Name::loss_reduce, loss, c_.tensor);  // the target's logit lies on one rank
}

}  // namespace dtcalc
