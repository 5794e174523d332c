// The loss of a training at a batch that is not small: (6.1) joined with the critical batch of App. E. Called by
// `dtcalc plan --objective loss`.
//
// (6.1) is read as the loss at a small batch, where every token counts in full. At batch B a training needs
// 1 + B/B_crit times the tokens for the same progress, (E.6), so its tokens are worth tokens / (1 + B/B_crit). B_crit
// follows from the loss that is reached, by Kaplan et al. 2020: the larger the lower the loss, so that the final loss
// is the kindest to a large batch. That two laws of different corpora are joined here is an assumption.
#pragma once

#include <optional>

#include "costmodel/formulas/scaling.hpp"

namespace dtcalc::laws {

struct LossAtBatch {
  double loss = 0;              ///< nats
  double critical_tokens = 0;   ///< B_crit at that loss
  double effective_tokens = 0;  ///< tokens / (1 + batch / B_crit)
};

/// `batch_tokens` of a step and `tokens` of the training, both positive. `critical_tokens`: a known B_crit instead of
/// Kaplan's. The least loss that agrees with its own B_crit; none when the batch is so far above the critical one that
/// no loss does.
std::optional<LossAtBatch> loss_at_batch(const formulas::ChinchillaFit& fit, double parameters, double tokens,
                                         double batch_tokens, std::optional<double> critical_tokens);

}  // namespace dtcalc::laws
