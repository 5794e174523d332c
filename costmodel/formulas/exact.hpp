// Exact counting for the closed forms: products are taken in 128 bits and narrowed once. Used by the .cpp files of this
// folder.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// Sizes are below 2^40 and a closed form multiplies at most four of them with a small factor: 128 bits do not overflow
/// for anything that could be built.
__extension__ using Wide = __int128;

/// The count as 64 bits. It saturates at 2^63 - 1 (8 EiB): what needs that much fits nowhere, and a wrapped count would
/// be a plausible wrong answer.
inline std::int64_t narrow(Wide value) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  return value > static_cast<Wide>(most) ? most : static_cast<std::int64_t>(value);
}

inline Bytes bytes(Wide value) { return Bytes(narrow(value)); }
inline Parameters parameters(Wide value) { return Parameters(narrow(value)); }

/// The total as double: exact below 2^53, one rounding above.
inline Flop flop(Wide value) { return Flop(static_cast<double>(value)); }

/// a / b rounded up, for what is sharded b ways (exact when b divides a, which is what layouts ask for). b > 0, a >= 0.
inline Wide shard(Wide a, std::int64_t b) { return (a + b - 1) / b; }

/// MLP width F = E D for an expansion factor that may be a fraction (Llama-2 7B: 2.6875).
inline Wide width(double E, std::int64_t D) { return std::llround(E * static_cast<double>(D)); }

}  // namespace dtcalc::formulas
