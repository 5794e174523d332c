// Closed forms of ring attention (7.4): who attends to how much in which iteration, and what travels. Used by the tests
// of the context axis. R ranks, n = S/R positions each; R must divide S, and 2R for zig-zag.
#pragma once

#include <cstdint>
#include <vector>

#include "costmodel/formulas/communication.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

enum class RingStrategy : std::uint8_t {
  naive,    ///< rank r owns positions r n .. r n + n - 1
  striped,  ///< r, r + R, r + 2R, …
  zigzag    ///< chunks r and 2R - 1 - r of 2R
};

/// Positions of rank r, ascending.
std::vector<std::int64_t> ring_positions(RingStrategy strategy, std::int64_t S, std::int64_t R, std::int64_t r);

/// Query-key pairs that rank r computes in iteration i, when it holds the keys of rank w = (r + i) mod R (Alg. 4, E82).
/// Exact: i = 0: n(n+1)/2. naive: n^2 if w < r, else 0. striped: n(n+1)/2 if w < r, else n(n-1)/2. zigzag: n^2/2 (E10).
std::int64_t ring_work(RingStrategy strategy, std::int64_t S, std::int64_t R, std::int64_t i, std::int64_t r);

/// `makespan`: sum over iterations of the busiest rank's pairs. `efficiency`: S(S+1)/2 / (R makespan).
struct RingSummary {
  std::int64_t total, makespan;
  double efficiency;
};
RingSummary ring_summary(RingStrategy strategy, std::int64_t S, std::int64_t R);

/// Bytes that one rank sends per block: forward times its keys and values, 2pB(S/R)GH; backward that and R times
/// their gradients in p_grad bytes, which travel the whole ring home.
Bytes ring_comm_bytes(Phase phase, std::int64_t B, std::int64_t S, std::int64_t R, std::int64_t G, std::int64_t H,
                      std::int64_t p, std::int64_t p_grad);

/// Least S/R at which an iteration's products hide its forward transfer: p lambda_FLOP/s G/(A lambda_comms) when
/// balanced causal work leaves half the pairs, half of that without a mask. Leading order in 1/n.
double ring_min_local_len(double p, double A_over_G, double flop_rate, double comm_bw, bool causal_balanced);

}  // namespace dtcalc::formulas
