// Closed forms of Sec. 2: what attention moves to and from device memory (2.6), and the rotation rates of RoPE (2.7).
// Used by the tests of the attention kernels' contracts.
#pragma once

#include <cstdint>

namespace dtcalc::formulas {

/// Elements moved per head by attention that stores its scores: S and P written and read (4S^2), q, k, v read and z
/// written (4SH). E66.
std::int64_t attention_hbm_elems_naive(std::int64_t S, std::int64_t H);

/// Elements moved per head by the flash forward pass with query blocks of R and key blocks of C: q and z once (2SH),
/// log-sum-exp (S), and for each query block the k and v of the key blocks it visits: all S positions, or with a causal
/// mask those up to the block that holds its last query. Exact; saturates at 2^63 - 1. E66.
std::int64_t attention_hbm_elems_flash(std::int64_t S, std::int64_t H, std::int64_t R, std::int64_t C, bool causal);

/// Blocks of the flash forward pass.
struct FlashBlocks {
  std::int64_t R = 0, C = 0;  ///< queries and keys of a block; 0: not even the smallest blocks fit
  std::int64_t on_chip_bytes =
      0;                      ///< q and the key and value blocks in p bytes, output and scores in fp32, maximum and sum
  std::int64_t elements = 0;  ///< moved per head: attention_hbm_elems_flash
};

/// Sec. 2.6 with E66: the blocks, in multiples of 16, that move fewest elements without a mask within M bytes on chip:
/// p H R + 2 p H C + 4 H R + 4 R C + 8 R <= M. Larger C on ties, which takes fewer rounds. R and C do not exceed S
/// rounded up to 16.
FlashBlocks flash_blocks(std::int64_t S, std::int64_t H, std::int64_t p, std::int64_t M);

/// (2.7) with E19: base^(-2i/H) rad per position for pair i of H/2, H the width of a head (or of its rotated part).
double eq_2_7_rope_theta(double base, std::int64_t pair, std::int64_t H);

}  // namespace dtcalc::formulas
