#include "costmodel/laws/loss_at_batch.hpp"

#include <cmath>

#include "costmodel/laws/fits.hpp"

namespace dtcalc::laws {

std::optional<LossAtBatch> loss_at_batch(const formulas::ChinchillaFit& fit, double parameters, double tokens,
                                         double batch_tokens, std::optional<double> critical_tokens) {
  // The loss grows as B_crit falls and B_crit falls as the loss grows, so iterating from the loss without any batch
  // rises to the least solution, if there is one.
  constexpr int most_rounds = 10000;
  constexpr double uniform = 20;  // nats; more than the loss of guessing among e^20 words
  LossAtBatch at{formulas::eq_6_1_loss(fit, parameters, tokens), 0, tokens};
  for (int round = 0; round < most_rounds; ++round) {
    at.critical_tokens = critical_tokens ? *critical_tokens : kaplan_critical_batch_tokens(at.loss);
    at.effective_tokens = tokens / (1 + batch_tokens / at.critical_tokens);
    const double loss = formulas::eq_6_1_loss(fit, parameters, at.effective_tokens);
    if (!(loss < uniform)) return std::nullopt;
    const bool settled = std::abs(loss - at.loss) <= 1e-14 * loss;
    at.loss = loss;
    if (settled) return at;
  }
  return std::nullopt;
}

}  // namespace dtcalc::laws
