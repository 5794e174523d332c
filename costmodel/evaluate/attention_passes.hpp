// What a blocked attention kernel executes: its passes, their products and tiles, and how a pass's work is dealt to the
// multiprocessors. sizes_of reads it for FLOPs, kernel_cost for time.
//
// A stack that only names its tiles has one pass of two products forward (scores, values) and one of five backward
// (scores, dP, dV, dK, dQ). This program's CUDA kernels have other tiles per head size and generation, and outside
// Hopper a backward of two passes: the rows of attention_passes.cpp are their contract, which
// tests/kernels/attention_passes_test.cpp compares with what flash_plan of kernels/ says of itself.
#pragma once

#include <array>
#include <cstdint>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Scores are made in tiles of queries x keys that hold a visible pair; each product costs 2 H FLOPs per pair of these.
struct AttentionPass {
  int products = 0;
  std::int64_t query_tile = 1, key_tile = 1;
  bool skips_masked_tiles = true;
  std::int64_t owned = 0;  ///< rows of a piece of work, which one multiprocessor does alone; 0: not known
  bool keys_own = false;   ///< these are keys of a kv head, its whole group of query heads being visited; else queries
  bool deals_group = false;  ///< where such pieces are few, each takes but a part of the group
};

inline constexpr int kBackwardPasses = 2;
struct AttentionPasses {
  AttentionPass forward;
  std::array<AttentionPass, kBackwardPasses> backward;  ///< those without products do not exist
};

/// In the tiles that the scenario's software names.
AttentionPass tiled_pass(const Scenario& scenario, int products);

/// Of the scenario's software on its hardware. `dtype`: of the products; `window`: of the layer, 0 for none.
AttentionPasses attention_passes(const Scenario& scenario, Dtype dtype, bool training, std::int64_t keys,
                                 std::int64_t window);

/// Query-key pairs that whole tiles of a blocked causal kernel cover, for one head. The last query is the last key.
std::int64_t flash_pairs(std::int64_t queries, std::int64_t keys, std::int64_t query_tile, std::int64_t key_tile,
                         bool skip_masked, std::int64_t window);
inline std::int64_t pass_pairs(const AttentionPass& pass, std::int64_t queries, std::int64_t keys,
                               std::int64_t window) {
  return flash_pairs(queries, keys, pass.query_tile, pass.key_tile, pass.skips_masked_tiles, window);
}

/// How unevenly a kernel's passes can be dealt out.
struct PassBalance {
  double share = 0;    ///< of the kernel's executed FLOPs
  double longest = 0;  ///< pairs of the longest piece over those of a head; 0: not known
  bool keys_own = false, deals_group = false;
  double pieces = 0;  ///< of a head
};
using KernelBalance = std::array<PassBalance, kBackwardPasses>;

/// Of one head's passes; a pass that does not exist has no share.
KernelBalance balance_of(const std::array<AttentionPass, kBackwardPasses>& passes, std::int64_t queries,
                         std::int64_t keys, std::int64_t window);

/// Time over that of evenly dealt work: a pass takes at least as long as its longest piece on one multiprocessor.
/// `heads`: batch times query heads; `group`: query heads of a kv head.
double imbalance(const KernelBalance& balance, double heads, double group, double multiprocessors);

}  // namespace dtcalc
