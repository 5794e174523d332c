// Symbols and extents: every size in the graph is a product of a few integers of the scenario.
//
// An extent is a monomial, e.g. (B, S, D) has B*S*D elements and a product (B S, D) x (D, F) has 2*B*S*D*F FLOPs. The
// structure of a model stores extents; an evaluation puts the numbers in (evaluate/sizes.hpp). Under a parallel layout
// the symbols are the sizes on one rank (heads A / T, mlp F / T, …), so one structure serves every number of ranks.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

namespace dtcalc {

enum class Symbol : std::uint8_t {
  batch,               ///< B, sequences of one forward pass
  query,               ///< S, positions computed; S / R on a rank of a context ring
  shard,               ///< S / T, positions of the residual stream on a rank under sequence parallelism
  key,                 ///< S', positions attended to (= S in training, on all ranks of a context ring)
  local_key,           ///< those of them that the sliding window leaves
  hidden,              ///< D
  heads,               ///< A
  kv_heads,            ///< G
  head,                ///< H
  mlp,                 ///< F
  vocabulary,          ///< V
  positions,           ///< rows of the learned position table
  model_pairs_global,  ///< query-key pairs of one head that count as model FLOPs, by the scenario's convention
  model_pairs_local,   ///< the same under the sliding window
  flash_pairs_global,  ///< pairs of a blocked kernel's tiles that are not fully masked, as its law of time counts them
  flash_pairs_local,
  flash_forward_global,  ///< products times pairs that its forward kernel executes (evaluate/attention_passes.hpp)
  flash_forward_local,
  flash_backward_global,  ///< the same of its backward kernel
  flash_backward_local,
  patches,             ///< of an image
  patch,               ///< numbers of a patch: channels * side^2
  outputs,             ///< classes, or width of the vectors that towers compare
  candidates,          ///< sequences of all data ranks, with which each is compared
  rank,                ///< of low-rank adapters
  all_parameters,      ///< of the whole model
  trained_parameters,  ///< those that get gradients
  count
};

inline constexpr int kSymbols = static_cast<int>(Symbol::count);

/// factor * product of symbols (at most six, a symbol may repeat).
struct Extent {
  std::int64_t factor = 1;
  std::array<Symbol, 6> symbols{};
  std::uint8_t length = 0;

  constexpr Extent() = default;
  constexpr Extent(std::initializer_list<Symbol> list) {
    for (Symbol s : list) symbols[length++] = s;
  }
  constexpr Extent operator*(std::int64_t f) const {
    Extent e = *this;
    e.factor *= f;
    return e;
  }
  constexpr Extent operator*(const Extent& other) const {
    Extent e = *this;
    e.factor *= other.factor;
    for (int i = 0; i < other.length; ++i) e.symbols[e.length++] = other.symbols[i];
    return e;
  }
  friend constexpr bool operator==(const Extent& a, const Extent& b) {
    return a.factor == b.factor && a.length == b.length && a.symbols == b.symbols;
  }
};

}  // namespace dtcalc
