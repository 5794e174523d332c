// Blocked attention that never holds an S x K matrix: Algorithm 2 with E04 forward, Algorithm 3 with E06 backward.
// Tiles that are masked in full are skipped, and not counted. Called by the executor.
#pragma once

#include "engine/cpu/attention.hpp"
#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

struct FlashTiles {
  std::int64_t query = 128, key = 128;  ///< rows and columns of a score tile
};

/// Sum over the visited tiles of rows x columns, for one head. Tiles at the edge are smaller; a tile is visited when at
/// least one of its pairs is visible. Forward does 2 products over it, backward 5 (scores again, dP, dV, dK, dQ): per
/// head 4 H and 10 H FLOPs each pair.
std::int64_t flash_tile_pairs(std::int64_t queries, std::int64_t keys, std::int64_t query_tile, std::int64_t key_tile,
                              bool causal, std::int64_t window);

/// Scratch of flash_forward and flash_backward in bytes, for a pool of `threads`.
template <class T>
std::int64_t flash_forward_workspace_bytes(const AttentionShape& shape, const FlashTiles& tiles, int threads);
template <class T>
std::int64_t flash_backward_workspace_bytes(const AttentionShape& shape, const FlashTiles& tiles, int threads);

/// out (B, S, A, H) and log_sum_exp (B, A, S) of the scores, -inf for a query that sees no key (its out is 0).
template <class T>
void flash_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                   const FlashTiles& tiles, const T* q, const T* k, const T* v, T* out, T* log_sum_exp);

/// dq (B, S, A, H), dk and dv (B, K, G, H), all written. `out` and `log_sum_exp` come from the forward with the same
/// options. Work is split over batch and kv heads, so that dk and dv have one writer.
template <class T>
void flash_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                    const FlashTiles& tiles, const T* q, const T* k, const T* v, const T* out, const T* log_sum_exp,
                    const T* dout, T* dq, T* dk, T* dv);

}  // namespace dtcalc::cpu
