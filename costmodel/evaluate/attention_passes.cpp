#include "costmodel/evaluate/attention_passes.hpp"

#include <algorithm>
#include <cmath>

namespace dtcalc {
namespace {

// Tensor-core kernels for sm_80 and up (kernels/attention_flash_forward.cuh and _backward.cuh). The pass whose blocks
// own keys makes scores and dP for both of its sums; heads of 256 in two blocks, which make them twice.
struct TensorCoreRow {
  std::int64_t head_size, forward_queries, forward_keys, owned, visited;
  int products_keys_own;
};
constexpr TensorCoreRow kTensorCores[] = {
    {64, 128, 64, 128, 64, 4},  {80, 128, 64, 128, 64, 4}, {96, 128, 64, 128, 64, 4},
    {128, 128, 48, 128, 64, 4}, {256, 128, 64, 64, 32, 6},
};
constexpr std::int64_t kForwardKeysWithExtras = 32;  ///< soft cap, ALiBi, dropout: their registers leave no more

// Hopper's own kernels (kernels/attention_hopper_forward.cuh and _backward.cuh). Forward, a consumer of 64 rows leaves
// out the tiles that only its neighbours in the block need; backward is one pass.
struct HopperRow {
  std::int64_t head_size, forward_owned, visited;
};
constexpr HopperRow kHopper[] = {{64, 192, 128}, {128, 128, 64}};
constexpr std::int64_t kHopperRows = 64, kHopperForwardKeys = 128, kHopperKeys = 128;
constexpr double kHopperBlocks = 128;  ///< with fewer, the query heads of a kv head are dealt to several

// Plain arithmetic (kernels/attention_flash_plain.cuh): a block of four warps, a row each, and tiles of 32.
constexpr std::int64_t kPlainRows = 4, kPlainTile = 32;

constexpr int kForward = 2, kKeysOwn = 4, kQueriesOwn = 3;  ///< products: scores and dP in both passes backward

AttentionPass queries_own(int products, std::int64_t rows, std::int64_t visited, std::int64_t owned) {
  return {products, rows, visited, true, owned, false};
}
AttentionPass keys_own(int products, std::int64_t rows, std::int64_t visited, std::int64_t owned) {
  return {products, visited, rows, true, owned, true};
}

/// Those of kernels/, as flash_plan chooses them.
AttentionPasses own_passes(const Scenario& s, Dtype dtype, bool training, std::int64_t keys, std::int64_t window) {
  const Model& m = s.model;
  const bool narrow = dtype == Dtype::bf16 || dtype == Dtype::fp16;
  const bool extras = m.attention_softcap > 0 || m.position == Position::alibi || (training && m.attention_dropout > 0);
  const bool windowed = window > 0 && window < keys;
  if (narrow && s.hardware.architecture == GpuArchitecture::hopper && !extras && !windowed)
    for (const HopperRow& row : kHopper)
      if (row.head_size == m.head_size)
        return {queries_own(kForward, kHopperRows, kHopperForwardKeys, row.forward_owned),
                {AttentionPass{5, row.visited, kHopperKeys, true, kHopperKeys, true, true}, {}}};
  if (narrow)
    for (const TensorCoreRow& row : kTensorCores)
      if (row.head_size == m.head_size)
        return {queries_own(kForward, row.forward_queries, extras ? kForwardKeysWithExtras : row.forward_keys,
                            row.forward_queries),
                {keys_own(row.products_keys_own, row.owned, row.visited, row.owned),
                 queries_own(kQueriesOwn, row.owned, row.visited, row.owned)}};
  return {queries_own(kForward, kPlainRows, kPlainTile, kPlainRows),
          {keys_own(kKeysOwn, kPlainRows, kPlainTile, kPlainRows),
           queries_own(kQueriesOwn, kPlainRows, kPlainTile, kPlainRows)}};
}

}  // namespace

AttentionPass tiled_pass(const Scenario& s, int products) {
  const Software& w = s.software;
  return {products, w.flash_query_tile, w.flash_key_tile, w.flash_skips_masked_tiles && s.model.causal};
}

AttentionPasses attention_passes(const Scenario& s, Dtype dtype, bool training, std::int64_t keys,
                                 std::int64_t window) {
  const bool ring = training && s.training.parallel.context > 1;  // which the kernels of kernels/ do not run in
  if (s.software.id == "dtcalc-cuda" && s.model.causal && !ring) return own_passes(s, dtype, training, keys, window);
  return {tiled_pass(s, 2), {tiled_pass(s, 5), {}}};
}

std::int64_t flash_pairs(std::int64_t queries, std::int64_t keys, std::int64_t query_tile, std::int64_t key_tile,
                         bool skip_masked, std::int64_t window) {
  if (!skip_masked) return queries * keys;
  std::int64_t pairs = 0;
  for (std::int64_t from = 0; from < queries; from += query_tile) {
    const std::int64_t to = std::min(from + query_tile, queries);
    const std::int64_t last_seen = std::min(keys, to + keys - queries);  // by the last row, exclusive
    const std::int64_t first_seen = window > 0 ? std::max<std::int64_t>(0, from + keys - queries + 1 - window) : 0;
    if (last_seen <= first_seen) continue;
    const std::int64_t begin = first_seen / key_tile * key_tile;
    const std::int64_t end = std::min(keys, (last_seen + key_tile - 1) / key_tile * key_tile);
    pairs += (to - from) * (end - begin);
  }
  return pairs;
}

KernelBalance balance_of(const std::array<AttentionPass, kBackwardPasses>& passes, std::int64_t queries,
                         std::int64_t keys, std::int64_t window) {
  KernelBalance balance;
  double sum = 0;
  for (std::size_t i = 0; i < balance.size(); ++i) {
    const AttentionPass& pass = passes[i];
    if (pass.products == 0 || pass.owned == 0) continue;
    const auto pairs = static_cast<double>(pass_pairs(pass, queries, keys, window));
    balance[i] = {pass.products * pairs, 0, pass.keys_own, pass.deals_group, 0};
    sum += balance[i].share;
    // The last queries see the most keys; the first keys are seen by the most queries, as in a mirror.
    AttentionPass piece = pass;
    if (pass.keys_own) std::swap(piece.query_tile, piece.key_tile);
    const std::int64_t rows = pass.keys_own ? keys : queries, visited = pass.keys_own ? queries : keys;
    balance[i].pieces = static_cast<double>((rows + pass.owned - 1) / pass.owned);
    if (pairs > 0)
      balance[i].longest = static_cast<double>(pass_pairs(piece, std::min(pass.owned, rows), visited, window)) / pairs;
  }
  for (PassBalance& pass : balance)
    if (sum > 0) pass.share /= sum;
  return balance;
}

namespace {

/// Query heads of a piece of work: of the `group` those that its part has, parts being the least divisor that makes
/// enough blocks (kernels/attention_hopper.cu).
double heads_of_piece(const PassBalance& pass, double heads, double group) {
  if (!pass.keys_own) return 1;
  double parts = 1;
  const double blocks = pass.pieces * heads / group;
  while (pass.deals_group && parts < group && (std::fmod(group, parts) != 0 || blocks * parts < kHopperBlocks)) ++parts;
  return group / parts;
}

}  // namespace

double imbalance(const KernelBalance& balance, double heads, double group, double multiprocessors) {
  double factor = 1;
  for (const PassBalance& pass : balance) {
    const double longest = pass.longest * heads_of_piece(pass, heads, group) * multiprocessors;
    if (longest > heads) factor += pass.share * (longest / heads - 1);
  }
  return factor;
}

}  // namespace dtcalc
