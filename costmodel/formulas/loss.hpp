// The losses of the notes: cross-entropy (1.12), DPO (7.6), CLIP (9.2). Slow, obvious twins of the engine's kernels, in
// nats.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dtcalc::formulas {

/// (1.12) with E22: -1/n sum ln Softmax(logits_i)[targets_i]. logits: (n, V) rows; targets: (n), each in [0, V).
double eq_1_12_cross_entropy(std::span<const std::vector<double>> logits, std::span<const std::int64_t> targets);

/// (7.6) with E31 for one pair: -ln sigma(beta((ln pi_w - ln ref_w) - (ln pi_l - ln ref_l))); w is the preferred
/// answer.
double eq_7_6_dpo_loss(double logp_w, double logp_l, double logref_w, double logref_l, double beta);

/// (9.2) with E18: -1/(2B) sum (ln P(i_b|t_b) + ln P(t_b|i_b)), logits = scale x cosine. img, txt: (B, D) rows, none of
/// them zero.
double eq_9_2_clip_loss(std::span<const std::vector<double>> img, std::span<const std::vector<double>> txt,
                        double scale);

}  // namespace dtcalc::formulas
