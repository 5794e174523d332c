// Folding a norm's gamma and beta into the products behind it, (1.2): a rewrite of the model that leaves every output
// equal.
#pragma once

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The model whose norms before products have no weights: `norm_affine` off, and where they had a beta the products
/// behind them get a bias (E84). The final norm is folded only into an untied head. Refused for post-norm blocks, where
/// the residual stream reads the norm too. engine/fold.hpp rewrites the weights to match.
Result<Model> fold_norms(const Model& model);

}  // namespace dtcalc
