// Attention traffic and RoPE; see attention.hpp.
#include "costmodel/formulas/attention.hpp"

#include <algorithm>
#include <cmath>

#include "costmodel/formulas/exact.hpp"

namespace dtcalc::formulas {

std::int64_t attention_hbm_elems_naive(std::int64_t S, std::int64_t H) { return narrow(4 * Wide{S} * (S + H)); }

std::int64_t attention_hbm_elems_flash(std::int64_t S, std::int64_t H, std::int64_t R, std::int64_t C, bool causal) {
  Wide key_rows = 0;
  for (std::int64_t first = 0; first < S; first += R) {
    const std::int64_t visible = causal ? std::min(first + R, S) : S;
    key_rows += std::min((visible + C - 1) / C * C, S);
  }
  return narrow(2 * Wide{S} * H + S + 2 * key_rows * H);
}

FlashBlocks flash_blocks(std::int64_t S, std::int64_t H, std::int64_t p, std::int64_t M) {
  constexpr std::int64_t unit = 16;  // rows of a tensor core's product
  const std::int64_t most = (S + unit - 1) / unit * unit;
  FlashBlocks best;
  for (std::int64_t C = unit; C <= most; C += unit) {
    const std::int64_t left = M - 2 * p * H * C, row = (p + 4) * H + 4 * C + 8;
    const std::int64_t R = std::min(most, left / row / unit * unit);
    if (R < unit) break;
    const std::int64_t elements = attention_hbm_elems_flash(S, H, R, C, false);
    if (best.R == 0 || elements <= best.elements) best = {R, C, 2 * p * H * C + row * R, elements};
  }
  return best;
}

double eq_2_7_rope_theta(double base, std::int64_t pair, std::int64_t H) {
  return std::pow(base, -2 * static_cast<double>(pair) / static_cast<double>(H));
}

}  // namespace dtcalc::formulas
