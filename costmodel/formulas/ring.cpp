// Ring attention; see ring.hpp.
#include "costmodel/formulas/ring.hpp"

#include <algorithm>

#include "costmodel/formulas/exact.hpp"

namespace dtcalc::formulas {

std::vector<std::int64_t> ring_positions(RingStrategy strategy, std::int64_t S, std::int64_t R, std::int64_t r) {
  const std::int64_t n = S / R, half = n / 2;
  std::vector<std::int64_t> positions;
  positions.reserve(static_cast<std::size_t>(n));
  for (std::int64_t t = 0; t < n; ++t) {
    switch (strategy) {
      case RingStrategy::naive:
        positions.push_back(r * n + t);
        break;
      case RingStrategy::striped:
        positions.push_back(r + t * R);
        break;
      case RingStrategy::zigzag:
        positions.push_back(t < half ? r * half + t : (2 * R - 1 - r) * half + t - half);
        break;
    }
  }
  return positions;
}

std::int64_t ring_work(RingStrategy strategy, std::int64_t S, std::int64_t R, std::int64_t i, std::int64_t r) {
  const std::int64_t n = S / R;
  if (i == 0) return n * (n + 1) / 2;
  const bool earlier = (r + i) % R < r;
  switch (strategy) {
    case RingStrategy::naive:
      return earlier ? n * n : 0;
    case RingStrategy::striped:
      return earlier ? n * (n + 1) / 2 : n * (n - 1) / 2;
    case RingStrategy::zigzag:
      return n * n / 2;
  }
  return 0;
}

RingSummary ring_summary(RingStrategy strategy, std::int64_t S, std::int64_t R) {
  RingSummary summary{};
  for (std::int64_t i = 0; i < R; ++i) {
    std::int64_t busiest = 0;
    for (std::int64_t r = 0; r < R; ++r) {
      const std::int64_t work = ring_work(strategy, S, R, i, r);
      summary.total += work;
      busiest = std::max(busiest, work);
    }
    summary.makespan += busiest;
  }
  summary.efficiency =
      static_cast<double>(summary.total) / (static_cast<double>(R) * static_cast<double>(summary.makespan));
  return summary;
}

Bytes ring_comm_bytes(Phase phase, std::int64_t B, std::int64_t S, std::int64_t R, std::int64_t G, std::int64_t H,
                      std::int64_t p, std::int64_t p_grad) {
  const Wide forward = 2 * Wide{R - 1} * p, backward = forward + 2 * Wide{R} * p_grad;
  const Wide factor = phase == Phase::forward ? forward : phase == Phase::backward ? backward : forward + backward;
  return bytes(shard(factor * B * S * G * H, R));
}

double ring_min_local_len(double p, double A_over_G, double flop_rate, double comm_bw, bool causal_balanced) {
  return p * flop_rate / (A_over_G * comm_bw) / (causal_balanced ? 1 : 2);
}

}  // namespace dtcalc::formulas
