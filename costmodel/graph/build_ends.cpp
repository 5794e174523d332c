// What lies before the first block and behind the last one: embeddings (Sec. 1 and 8), final norm, heads and their
// losses (1.11)-(1.12), (7.1), (9.1)-(9.2).
#include "costmodel/graph/builder.hpp"

namespace dtcalc {

using S = Symbol;

void Builder::prologue() {
  TensorId x = c_.input == ModelInput::image ? embedded_image() : embedded_tokens();
  if (c_.position == Position::learned) {
    const TensorId positions =
        parameter(Name::embedding_position, {S::positions, S::hidden}, "weight", ParameterClass::position, {S::hidden});
    const TensorId y = tensor(Name::embedding_position, Width::stream, stream());
    append(OperatorKind::position_embedding, Name::embedding_position, {x, positions}, {y});
    x = y;
  }
  if (c_.embedding_norm) x = norm(Name::embedding_norm, x, true);
  if (c_.embedding_dropout) x = dropout(Name::embedding_dropout, x, 0);
  s_.residual_out = x;
}

TensorId Builder::embedded_tokens() {
  const TensorId tokens = input(Name::embedding_token, Width::index, kRows, "tokens");
  const TensorId table =
      parameter(Name::embedding_token, {S::vocabulary, S::hidden}, "weight", ParameterClass::embedding, {S::hidden});
  const TensorId x = tensor(Name::embedding_token, Width::stream, kFull);
  append(OperatorKind::token_embedding, Name::embedding_token, {tokens, table}, {x});
  return leave(Name::embedding_reduce, x);
}

/// A convolution whose stride is its window: one product over the patches (E16, E28).
TensorId Builder::embedded_image() {
  const TensorId pixels = input(Name::embedding_patch, Width::activation, {S::batch, S::patches, S::patch}, "pixels");
  const Extent n{S::hidden}, k{S::patch};
  const TensorId weight = parameter(Name::embedding_patch, n * k, "weight", ParameterClass::embedding, k);
  product_rows_ = {S::batch, S::patches};
  TensorId x = product(Name::embedding_patch, pixels, weight, n, k);
  if (c_.patch_bias)
    x = bias(Name::embedding_patch_bias, x, parameter(Name::embedding_patch, n, "bias", ParameterClass::embedding));
  if (!c_.class_token) return x;
  const TensorId token = parameter(Name::embedding_class, n, "weight", ParameterClass::embedding);
  const TensorId y = tensor(Name::embedding_class, Width::stream, kFull);
  append(OperatorKind::class_token, Name::embedding_class, {x, token}, {y});
  return y;
}

void Builder::epilogue() {
  s_.residual_in = tensor(Name::final_residual, Width::stream, stream(), "input");
  TensorId x = s_.residual_in;
  if (c_.norm_placement != NormPlacement::post) {
    s_.delta_in = tensor(Name::final_residual, Width::activation, stream(), "delta");
    x = add(Name::final_residual, x, s_.delta_in);
  }
  if (c_.final_norm) x = norm(Name::final_norm, x, c_.final_norm_affine);
  const bool of_sequence = c_.head == Head::classes || c_.head == Head::contrast || c_.head == Head::reward;
  if (c_.serving || of_sequence) x = pooled(x);
  const TensorId scores = head(x);
  if (c_.serving) return;
  if (c_.head == Head::reward || c_.head == Head::value) {  // of a pair, or of a return: no more than a few numbers
    const TensorId targets = input(Name::loss_target, Width::index, product_rows_, "targets");
    const TensorId loss = tensor(Name::loss_target, Width::statistic, product_rows_, "loss");
    append(OperatorKind::loss_target, Name::loss_target, {scores, targets}, {loss});
    return;
  }
  cross_entropy(scores, c_.tensor && c_.head == Head::language);
}

TensorId Builder::pooled(TensorId x) {
  const TensorId one = tensor(Name::head_select, s_.tensors[x].width, {S::batch, S::hidden});
  append(OperatorKind::select, Name::head_select, {x}, {one});
  product_rows_ = {S::batch};
  return one;
}

/// Heads other than that over the vocabulary are small: every tensor-parallel rank has them whole.
TensorId Builder::head(TensorId x) {
  const bool language = c_.head == Head::language;
  const bool tied = language && c_.tied;
  const Extent n = language                                            ? Extent{S::vocabulary}
                   : c_.head == Head::reward || c_.head == Head::value ? Extent{}
                                                                       : Extent{S::outputs};
  if (c_.head == Head::value) product_rows_ = stream_rows_;
  const TensorId weight = parameter(Name::head_product, n * Extent{S::hidden}, "weight",
                                    tied ? ParameterClass::embedding : ParameterClass::head, {S::hidden});
  s_.tensors[weight].tied = tied;
  TensorId y = product(Name::head_product, language ? enter(Name::head_gather, x) : x, weight, n, {S::hidden});
  if (c_.head == Head::contrast) return compared(y);
  s_.tensors[y].width = Width::logits;
  if (c_.head_bias) y = bias(Name::head_bias, y, parameter(Name::head_product, n, "bias", ParameterClass::head));
  if (c_.final_softcap) {
    const TensorId capped = tensor(Name::head_softcap, Width::logits, product_rows_ * n);
    append(OperatorKind::softcap, Name::head_softcap, {y}, {capped});
    y = capped;
  }
  return y;
}

/// A tower reads the vectors that the other one sent and sends its own: both have the same shape, so that one tensor
/// stands for either, and its gradient for the one that comes back.
TensorId Builder::compared(TensorId vectors) {
  const Extent width{S::outputs};
  const TensorId unit = tensor(Name::head_normalize, Width::activation, product_rows_ * width);
  const TensorId length = c_.training && c_.save_norm_statistics
                              ? tensor(Name::head_normalize, Width::statistic, product_rows_, "length")
                              : kNone;
  append(OperatorKind::norm, Name::head_normalize, {vectors}, {unit, length});
  if (c_.input == ModelInput::image) parameter(Name::head_normalize, Extent{}, "temperature", ParameterClass::head);
  const TensorId all = tensor(Name::head_exchange, Width::activation, Extent{S::candidates} * width);
  append(OperatorKind::exchange, Name::head_exchange, {unit}, {all});
  const TensorId logits = product(Name::loss_target, unit, all, {S::candidates}, width);
  s_.tensors[logits].width = Width::logits;
  return logits;
}

/// (1.12) with E22, split where a vocabulary-parallel layout needs a collective (E33).
void Builder::cross_entropy(TensorId logits, bool sharded) {
  const Extent rows = product_rows_;
  const TensorId targets = input(Name::loss_target, Width::index, rows, "targets");
  const TensorId max = tensor(Name::loss_max, Width::statistic, rows);
  const TensorId sum = tensor(Name::loss_sum, Width::statistic, rows);
  const TensorId loss = tensor(Name::loss_target, Width::statistic, rows, "loss");
  append(OperatorKind::loss_max, Name::loss_max, {logits}, {max});
  const TensorId all_max = in_place(OperatorKind::reduce, Name::loss_reduce, max, sharded);
  append(OperatorKind::loss_sum, Name::loss_sum, {logits, all_max}, {sum});
  const TensorId all_sum = in_place(OperatorKind::reduce, Name::loss_reduce, sum, sharded);
  append(OperatorKind::loss_target, Name::loss_target, {logits, targets, all_max, all_sum}, {loss});
  in_place(OperatorKind::reduce, Name::loss_reduce, loss, sharded);  // the target's logit lies on one rank
}

}  // namespace dtcalc
