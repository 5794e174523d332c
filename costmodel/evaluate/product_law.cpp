#include "costmodel/evaluate/product_law.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace dtcalc {
namespace {

// Tiles of cuBLAS-class libraries (shapes as in CUTLASS's profiler) and what shared memory leaves of the matrix rate.
// An SM's shared memory moves 128 bytes a cycle (CUDA C++ Programming Guide, 32 banks of 4 bytes). Per unit of k, a
// tile's operands are written there once and read once per warp (or warp group) that needs them; its products take
// 2 bm bn / (FLOP per cycle and SM) cycles. Efficiency = products / traffic where that is below 1. In two-byte elements
// (narrower ones move half the bytes at twice the rate, so the quotient stays):
//   Ampere, 2048 FLOP per cycle and SM, warps of 64 x 64 (64 x 64 tile: 32 x 32): 64 x 64: 4 / (4 + 2) = 0.67,
//     128 x 64: 8 / (6 + 3) = 0.89, larger: 1. Volta (1024 FLOP per cycle, no asynchronous copies: every byte passes
//     through registers) and Ada (1024) never wait for it.
//   Hopper, 4096 FLOP per cycle and SM, warp groups of 64 rows, operands of wgmma in shared memory: 128 x 256:
//     16 / (10 + 6) = 1, 256 x 128: 16 / (12 + 6) = 0.89, 128 x 128 and 64 x 256: 8 / (6 + 4) = 0.8,
//     128 x 64: 4 / (4 + 3), bounded by 64 x 128: 4 / (3 + 3) = 0.67, 64 x 64: 2 / (2 + 2) = 0.5.
//   Blackwell doubles the rate and shares B between the two SMs of a pair (tcgen05, cta_group::2), which halves its
//     writes and reads: the quotients of Hopper are taken over.
constexpr GemmTile kAmpere[] = {{8, 7, 1}, {7, 8, 1},    {7, 7, 1},    {8, 6, 1},
                                {6, 8, 1}, {7, 6, 0.89}, {6, 7, 0.89}, {6, 6, 0.67}};
constexpr GemmTile kVolta[] = {{8, 7, 1}, {7, 8, 1}, {7, 7, 1}, {7, 6, 1}, {6, 7, 1}, {6, 6, 1}};
constexpr GemmTile kHopper[] = {{7, 8, 1},    {8, 7, 0.89}, {7, 7, 0.8}, {6, 8, 0.8},
                                {6, 7, 0.67}, {7, 6, 0.67}, {6, 6, 0.5}};

std::span<const GemmTile> tiles_of(GpuArchitecture architecture) {
  switch (architecture) {
    case GpuArchitecture::other:
      return {};
    case GpuArchitecture::volta:
    case GpuArchitecture::ada:
      return kVolta;
    case GpuArchitecture::ampere:
      return kAmpere;
    case GpuArchitecture::hopper:
    case GpuArchitecture::blackwell:
      return kHopper;
  }
  return {};
}

// Share of the shorter of compute and memory that is not hidden behind the longer. The one number here that was fitted:
// on the 400 products of vidur's profiles of A100 and H100 (docs/time.md); below 64 rows and above 1024 it hardly
// matters.
constexpr double kNotHidden = 0.2;

// A product is cut along k only while every part keeps so many steps: a part shorter than the pipeline's stages (four
// of 64) gains nothing.
constexpr std::int64_t kShortestSplit = 256;
constexpr std::int64_t kDepthStep =
    32;  // the inner dimension is padded to whole steps of the matrix instruction's tile

/// ceil(count / SMs); half a unit keeps the reciprocal's rounding away from whole quotients.
double waves(const DeviceRates& rates, double count) {
  return static_cast<double>(
      static_cast<std::int64_t>((count + rates.multiprocessors - 0.5) * rates.per_multiprocessor));
}

}  // namespace

void set_tiles(DeviceRates& rates, GpuArchitecture architecture) {
  const std::span<const GemmTile> tiles = tiles_of(architecture);
  if (rates.multiprocessors <= 0 || rates.seconds_per_flop <= 0) return;
  double largest = 1;
  for (const GemmTile& t : tiles) {
    const double results = std::ldexp(1.0, t.log_m + t.log_n);
    largest = std::max(largest, results);
    rates.tile_seconds_per_depth[rates.tiles] =
        2 * results * rates.seconds_per_flop * rates.multiprocessors / t.efficiency;
    rates.tile[rates.tiles++] = t;
  }
  rates.wave_side = std::sqrt(largest * rates.multiprocessors);
}

double side_by_side(double compute_s, double memory_s) {
  return std::max(compute_s, memory_s) + kNotHidden * std::min(compute_s, memory_s);
}

ProductTime product_time(const DeviceRates& rates, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t batch,
                         double bytes, double element_bytes, double per_flop) {
  // A wave covers a square of results; what lies outside is read again by the next wave unless L2 still has it.
  const double a = static_cast<double>(m) * static_cast<double>(k) * element_bytes;
  const double b = static_cast<double>(n) * static_cast<double>(k) * element_bytes;
  if (a + b > rates.l2_bytes)
    bytes += static_cast<double>(batch) * (a * std::max(0.0, static_cast<double>(n) / rates.wave_side - 1) +
                                           b * std::max(0.0, static_cast<double>(m) / rates.wave_side - 1));
  ProductTime best{std::numeric_limits<double>::infinity(), 0, bytes * rates.seconds_per_byte};
  // Whole times are compared, so that a device with one better figure never ends with a slower choice.
  const auto consider = [&](double compute_s, double overhead_s) {
    const double seconds = side_by_side(compute_s, best.memory_s) + overhead_s;
    if (seconds < best.seconds) best.seconds = seconds, best.compute_s = compute_s;
  };
  const auto padded = static_cast<double>((k + kDepthStep - 1) & -kDepthStep);
  for (int i = 0; i < rates.tiles; ++i) {
    const GemmTile& t = rates.tile[i];
    const std::int64_t rows = (m + (std::int64_t{1} << t.log_m) - 1) >> t.log_m;
    const std::int64_t columns = (n + (std::int64_t{1} << t.log_n) - 1) >> t.log_n;
    const double tiles = static_cast<double>(rows * columns) * static_cast<double>(batch);
    const double rounds = waves(rates, tiles), depth_s = rates.tile_seconds_per_depth[i] * per_flop;
    consider(rounds * depth_s * padded, rounds * rates.wave_s);
    if (2 * tiles <= rates.multiprocessors && k >= 2 * kShortestSplit) {
      // Idle SMs take parts of the inner dimension; a second kernel adds the parts up.
      const std::int64_t parts = std::min(static_cast<std::int64_t>(rates.multiprocessors / tiles), k / kShortestSplit);
      const auto depth = static_cast<double>(((k + parts - 1) / parts + kDepthStep - 1) & -kDepthStep);
      consider(depth_s * depth, rates.wave_s + rates.kernel_latency_s);
    }
  }
  best.seconds += rates.kernel_latency_s;
  return best;
}

}  // namespace dtcalc
