// Losses; see loss.hpp.
#include "costmodel/formulas/loss.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dtcalc::formulas {
namespace {

/// ln sum exp, safe for large logits.
double log_sum_exp(const std::vector<double>& z) {
  const double most = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (const double value : z) sum += std::exp(value - most);
  return most + std::log(sum);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

double eq_1_12_cross_entropy(std::span<const std::vector<double>> logits, std::span<const std::int64_t> targets) {
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    sum += log_sum_exp(logits[i]) - logits[i][static_cast<std::size_t>(targets[i])];
  }
  return sum / static_cast<double>(logits.size());
}

double eq_7_6_dpo_loss(double logp_w, double logp_l, double logref_w, double logref_l, double beta) {
  const double margin = beta * ((logp_w - logref_w) - (logp_l - logref_l));
  // ln(1 + exp(-margin)) without overflow.
  return margin >= 0 ? std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin)) - margin;
}

double eq_9_2_clip_loss(std::span<const std::vector<double>> img, std::span<const std::vector<double>> txt,
                        double scale) {
  const std::size_t B = img.size();
  std::vector<std::vector<double>> by_image(B, std::vector<double>(B)), by_text = by_image;
  std::vector<std::int64_t> matching(B);
  std::iota(matching.begin(), matching.end(), 0);
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t c = 0; c < B; ++c) {
      const double cosine = dot(img[b], txt[c]) / std::sqrt(dot(img[b], img[b]) * dot(txt[c], txt[c]));
      by_image[b][c] = by_text[c][b] = scale * cosine;
    }
  }
  return (eq_1_12_cross_entropy(by_image, matching) + eq_1_12_cross_entropy(by_text, matching)) / 2;
}

}  // namespace dtcalc::formulas
