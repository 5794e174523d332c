// Closed forms of scaling, batch size, losses, vision and attention against brute force and values typed in from the
// errata.
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "costmodel/formulas/attention.hpp"
#include "costmodel/formulas/batch.hpp"
#include "costmodel/formulas/loss.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/formulas/vision.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;

namespace {

/// Least value of `f` on [low, high], with one minimum.
template <class F>
double golden_section(F f, double low, double high) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  for (int i = 0; i < 200; ++i) {
    const double a = high - ratio * (high - low), b = low + ratio * (high - low);
    (f(a) < f(b) ? high : low) = f(a) < f(b) ? b : a;
  }
  return (low + high) / 2;
}

}  // namespace

TEST_CASE("Chinchilla's closed-form optimum is the one a search finds", "[formulas]") {
  const ChinchillaFit fit = GENERATE(hoffmann, hoffmann_tex, besiroglu);
  const double C = GENERATE(1e19, 5.76e23);
  const ChinchillaOptimum optimum = chinchilla_optimum(fit, C);
  const double ln_N =
      golden_section([&](double x) { return eq_6_1_loss(fit, std::exp(x), C / 6 / std::exp(x)); }, 10, 40);
  // The loss is flat at its minimum: a search in doubles sees N to about the square root of their precision.
  CHECK(optimum.N == Approx(std::exp(ln_N)).epsilon(1e-5));
  CHECK(6 * optimum.N * optimum.tokens == Approx(C));
  CHECK(optimum.tokens_per_param == Approx(optimum.tokens / optimum.N));
  CHECK(optimum.loss == Approx(eq_6_1_loss(fit, optimum.N, optimum.tokens)));
  const ChinchillaExponents e = chinchilla_exponents(fit);
  CHECK(e.a + e.b == Approx(1));
  CHECK(chinchilla_optimum(fit, 10 * C).N / optimum.N == Approx(std::pow(10, e.a)));
}

TEST_CASE("the fits differ as E09 says", "[formulas]") {
  CHECK(chinchilla_exponents(hoffmann).a == Approx(0.4516).epsilon(1e-4));
  CHECK(chinchilla_exponents(hoffmann_tex).a == Approx(0.456).epsilon(2e-3));
  CHECK(chinchilla_exponents(besiroglu).a == Approx(0.5126).epsilon(1e-4));
  CHECK(chinchilla_optimum(hoffmann, 5.76e23).tokens_per_param == Approx(93).epsilon(1e-2));
  CHECK(chinchilla_optimum(hoffmann_tex, 5.76e23).tokens_per_param == Approx(59).epsilon(1e-2));
  CHECK(chinchilla_optimum(besiroglu, 5.76e23).tokens_per_param == Approx(18.4).epsilon(1e-2));
  CHECK(eq_6_1_loss(hoffmann, 70e9, 1.4e12) == Approx(1.9366).epsilon(1e-4));
}

TEST_CASE("Kaplan's laws are 1 nat at their constants", "[formulas]") {
  CHECK(kaplan_loss_N(8.8e13) == 1);
  CHECK(kaplan_loss_D(5.4e13) == 1);
  CHECK(kaplan_loss_C(3.1e8 * 1e15 * 86400) == Approx(1));
  CHECK(kaplan_loss_N(8.8e12) == Approx(std::pow(10, 0.076)));
  CHECK(kaplan_loss_D(5.4e12) == Approx(std::pow(10, 0.095)));
  CHECK(kaplan_loss_C(3.1e7 * 1e15 * 86400) == Approx(std::pow(10, 0.05)));
}

TEST_CASE("the learning rate is half a cosine after a linear warm-up (E30)", "[formulas]") {
  const auto rate = [](double s) { return cosine_lr(s, 100, 1100, 1e-5, 1e-3); };
  CHECK(rate(0) == 0);
  CHECK(rate(50) == Approx(5e-4));
  CHECK(rate(100) == Approx(1e-3));
  CHECK(rate(600) == Approx((1e-3 + 1e-5) / 2));
  CHECK(rate(1100) == 1e-5);
  CHECK(rate(5000) == 1e-5);
  double mean = 0;  // 1/2 of the range, not 2/pi
  for (int s = 0; s < 1000; ++s) mean += rate(100.5 + s) / 1000;
  CHECK(mean == Approx((1e-3 + 1e-5) / 2));
  CHECK(cosine_lr(0, 0, 10, 0, 1) == 1);
}

TEST_CASE("batch size: (E.8) is where (E.7) is least, and (E.9) its value (E15)", "[formulas]") {
  const double S = 1e4, E = 5e7, kappa = 1e-3, sigma = 0.5, Bn = E / S;
  const auto time = [&](double B) { return eq_E_7_time(B, S, E, kappa, sigma); };
  const double best = eq_E_8_batch(S, E, kappa, sigma);
  CHECK(best == Approx(golden_section(time, 1, 1e5)).epsilon(1e-6));
  CHECK(eq_E_9_t_min(S, E, kappa, sigma) == Approx(time(best)));
  CHECK(eq_E_9_t_min(S, E, kappa, sigma) == Approx(86623).epsilon(1e-5));
  CHECK(t_crit(S, E, kappa, sigma) == Approx(time(Bn)));
  const double ratio = t_crit_over_t_min(Bn, kappa, sigma);
  CHECK(ratio == Approx(time(Bn) / time(best)));
  CHECK(ratio >= 1);
  CHECK(ratio <= 2);
  CHECK(t_crit_over_t_min(500, kappa, sigma) == Approx(1));  // kappa Bn = sigma: both choices agree
  // T(B) is steps times time per step.
  CHECK(time(300) == Approx(sgd_steps(S, 300, Bn) * (kappa * 300 + sigma)));
}

TEST_CASE("steps and examples lie on (E.6)'s hyperbola; the loss drop is half (E14)", "[formulas]") {
  const double S = 1e4, Bn = 5000, B = GENERATE(10.0, 5000.0, 1e6);
  const double steps = sgd_steps(S, B, Bn), examples = sgd_examples(S, B, Bn);
  CHECK((steps / S - 1) * (examples / (S * Bn) - 1) == Approx(1));
  CHECK(examples == Approx(B * steps));
  // A quadratic: g^2 = 4, gHg = 2, Tr H Sigma = 2 Bn. Expected drop eta g^2 - eta^2/2 (gHg + Tr H Sigma/B) at the best
  // eta.
  const double g2 = 4, gHg = 2, noise = gHg * Bn, eta_max = g2 / gHg;
  const double eta = eq_E_3_learning_rate(eta_max, B, Bn);
  const auto drop = [&](double x) { return x * g2 - x * x / 2 * (gHg + noise / B); };
  CHECK(eq_E_5_loss_drop(eta_max, g2, B, Bn) == Approx(drop(eta)));
  CHECK(drop(eta) > drop(eta * 1.01));
  CHECK(drop(eta) > drop(eta * 0.99));
  CHECK(eq_E_4_b_simple(20, 4) == 5);
}

TEST_CASE("cross-entropy: uniform logits give ln V, large ones do not overflow", "[formulas]") {
  const std::vector<std::vector<double>> uniform(3, std::vector<double>(7, 5.0));
  const std::vector<std::int64_t> targets{0, 3, 6};
  CHECK(eq_1_12_cross_entropy(uniform, targets) == Approx(std::log(7)));
  const std::vector<std::vector<double>> large{{1000, 0}, {0, 1000}};
  CHECK(eq_1_12_cross_entropy(large, std::vector<std::int64_t>{0, 1}) == Approx(0).margin(1e-12));
  CHECK(eq_1_12_cross_entropy(large, std::vector<std::int64_t>{1, 0}) == Approx(1000));
}

TEST_CASE("DPO loss is ln 2 at no margin and falls as the preferred answer rises (E31)", "[formulas]") {
  CHECK(eq_7_6_dpo_loss(-5, -7, -5, -7, 0.1) == Approx(std::log(2)));
  CHECK(eq_7_6_dpo_loss(-4, -7, -5, -7, 0.1) == Approx(std::log(1 + std::exp(-0.1))));
  CHECK(eq_7_6_dpo_loss(-5, -6, -5, -7, 0.1) == Approx(std::log(1 + std::exp(0.1))));
  CHECK(eq_7_6_dpo_loss(0, -1e5, -5, -7, 1) == Approx(0).margin(1e-12));
  CHECK(eq_7_6_dpo_loss(-1e5, 0, -5, -7, 1) == Approx(1e5 + 2));
}

TEST_CASE("CLIP's loss falls as matching pairs align (E18)", "[formulas]") {
  const std::vector<std::vector<double>> image{{1, 0}, {0, 2}}, aligned{{3, 0}, {0, 1}}, crossed{{0, 1}, {3, 0}};
  CHECK(eq_9_2_clip_loss(image, aligned, 10) == Approx(std::log(1 + std::exp(-10))));
  CHECK(eq_9_2_clip_loss(image, crossed, 10) == Approx(std::log(1 + std::exp(10))));
  CHECK(eq_9_2_clip_loss(image, aligned, 0) == Approx(std::log(2)));
}

TEST_CASE("vision: positions, parameters and FLOPs (E16)", "[formulas]") {
  CHECK(vit_seq_len(256, 16, false) == 256);
  CHECK(vit_seq_len(256, 16, true) == 257);
  CHECK(vit_seq_len(224, 16, true) == 197);
  VisionTransformer v;
  v.classes = 1000;
  CHECK(vit_params(v).value() == 86'567'656);  // ViT-B/16
  v.L = 24, v.D = 1024, v.F = 4096;
  CHECK(vit_params(v).value() == 304'326'632);  // ViT-L/16
  CHECK(clip_params("ViT-B/32")->total.value() == 151'277'313);
  CHECK(clip_params("ViT-B/16")->total.value() == 149'620'737);
  CHECK(clip_params("ViT-L/14")->total.value() == 427'616'513);
  CHECK(clip_params("ViT-L/14@336px")->total.value() == 427'944'193);
  CHECK_FALSE(clip_params("RN50"));
  // Twice the forward products less the patch embedding's dgrad, for a batch of three.
  const double S = 197, D = 1024, patches = 2 * 196 * D * 768;
  const double forward = 24 * (2 * S * 12 * D * D + 4 * S * S * D) + patches + 2 * D * 1000;
  CHECK(vit_backward_flops(v, 3).value() == 3 * (2 * forward - patches));
}

TEST_CASE("flash attention's traffic equals a walk over its blocks", "[formulas]") {
  const bool causal = GENERATE(false, true);
  const std::int64_t S = GENERATE(1, 100, 256), R = GENERATE(16, 48, 128), C = GENERATE(32, 50), H = 64;
  std::int64_t elements = 2 * S * H + S;
  for (std::int64_t i = 0; i < S; i += R) {
    for (std::int64_t j = 0; j < S; j += C) {
      const bool hidden = causal && j > std::min(i + R, S) - 1;
      if (!hidden) elements += 2 * H * std::min(C, S - j);
    }
  }
  CHECK(attention_hbm_elems_flash(S, H, R, C, causal) == elements);
  if (!causal) CHECK(elements == 2 * S * H + S + 2 * S * H * ((S + R - 1) / R));  // E66
  CHECK(attention_hbm_elems_naive(2048, 64) == 4 * 2048 * 2048 + 4 * 2048 * 64);
}

TEST_CASE("RoPE turns once to about 1e-4 of a radian per position (E19)", "[formulas]") {
  CHECK(eq_2_7_rope_theta(10000, 0, 128) == 1);
  CHECK(eq_2_7_rope_theta(10000, 32, 128) == Approx(1e-2));
  CHECK(eq_2_7_rope_theta(10000, 63, 128) == Approx(1.1548e-4).epsilon(1e-4));
}
