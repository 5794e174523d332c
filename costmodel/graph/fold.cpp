#include "costmodel/graph/fold.hpp"

namespace dtcalc {

Result<Model> fold_norms(const Model& model) {
  if (model.norm_placement == NormPlacement::post)
    return Error{"/model/norm_placement", "post", "has norms that feed the residual stream, not only products",
                 "fold models with pre or sandwich norms"};
  Model folded = model;
  const bool has_beta = model.norm == Norm::layer_norm && model.norm_bias;
  if (model.norm_affine) {
    folded.norm_affine = false;
    if (has_beta) folded.query_bias = folded.key_bias = folded.value_bias = folded.mlp_bias = true;
  }
  if (model.final_norm && model.final_norm_affine && !model.tied_embeddings) {
    folded.final_norm_affine = false;
    folded.head_bias = folded.head_bias || has_beta;
  }
  return folded;
}

}  // namespace dtcalc
