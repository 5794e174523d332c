#include "costmodel/evaluate/attention_law.hpp"

#include <algorithm>
#include <array>

namespace dtcalc {
namespace {

/// Achieved on long sequences, of the dense peak: heads of up to 64, up to 128, and more channels.
struct FlashRow {
  FlashKernel kernel;
  GpuArchitecture architecture;
  std::array<double, 3> forward, backward;
};

// Sources. [FA2]: Dao 2023, FlashAttention-2 (arXiv 2307.08691), section 1 and figures 4-7; [FA3]: Shah et al. 2024,
// FlashAttention-3 (arXiv 2407.08608), figures 5-7 (H100 SXM5, 989 TFLOP/s), which also measures FlashAttention-2 and
// cuDNN 9.1 there. Figures of 16,384 tokens; causal ones divided by the share of whole tiles that is not masked.
//   flash_1 on Ampere: [FA2] section 1, "30-50 %" forward and "25-35 %" backward: the middle.
//   triton, the Triton kernel of FlashAttention-1: [FA2] section 4.1, flash_2 is 1.3 to 1.5 times as fast forward and
//     about twice as fast backward: 1.4 and 2 below flash_2, on Hopper too.
//   flash_2 on Ampere: [FA2] 192 and 227 TFLOP/s forward, 170 and 196 backward of 312.
//   flash_2 on Hopper: [FA3] 324, 370, 298 forward, 291 backward of 989; 326 backward at 128 follows from [FA2]'s 338
//   in
//     both directions; backward above 128 as forward. Its mma.sync reaches less of Hopper's peak than wgmma.
//   flash_3 on Hopper: [FA3] 497, 648, 642 forward, 474 and 561 backward.
//   cudnn on Hopper: [FA3] 413, 610, 509 forward, 433 backward; backward at 128: 546 with cuDNN 9.19, measured on an
//     H200 (2026-11).
//   Not published, taken over: above 128 on Ampere in Hopper's proportion; flash_1 on Hopper at Ampere's rate per SM
//   and
//     cycle, half of the share; cudnn on Ampere as flash_2; Ada as Ampere; cudnn on Blackwell as on Hopper;
//     flash_2 on Blackwell at Hopper's rate per SM and cycle.
constexpr FlashRow kRows[] = {
    {FlashKernel::flash_1, GpuArchitecture::ampere, {0.40, 0.40, 0.40}, {0.30, 0.30, 0.30}},
    {FlashKernel::triton, GpuArchitecture::ampere, {0.44, 0.52, 0.42}, {0.27, 0.315, 0.255}},
    {FlashKernel::flash_2, GpuArchitecture::ampere, {0.615, 0.73, 0.59}, {0.545, 0.63, 0.51}},
    {FlashKernel::flash_1, GpuArchitecture::hopper, {0.20, 0.20, 0.20}, {0.15, 0.15, 0.15}},
    {FlashKernel::triton, GpuArchitecture::hopper, {0.234, 0.267, 0.219}, {0.147, 0.165, 0.135}},
    {FlashKernel::flash_2, GpuArchitecture::hopper, {0.327, 0.374, 0.306}, {0.294, 0.33, 0.27}},
    {FlashKernel::flash_3, GpuArchitecture::hopper, {0.502, 0.655, 0.66}, {0.479, 0.567, 0.567}},
    {FlashKernel::cudnn, GpuArchitecture::hopper, {0.417, 0.617, 0.52}, {0.438, 0.56, 0.47}},
    {FlashKernel::flash_1, GpuArchitecture::blackwell, {0.10, 0.10, 0.10}, {0.075, 0.075, 0.075}},
    {FlashKernel::triton, GpuArchitecture::blackwell, {0.103, 0.117, 0.096}, {0.065, 0.073, 0.06}},
    {FlashKernel::flash_2, GpuArchitecture::blackwell, {0.144, 0.164, 0.134}, {0.129, 0.145, 0.119}},
    {FlashKernel::cudnn, GpuArchitecture::blackwell, {0.417, 0.617, 0.52}, {0.438, 0.56, 0.47}},
};

/// What a stack runs where its own kernel does not exist.
FlashKernel available(FlashKernel kernel, GpuArchitecture architecture) {
  if (kernel == FlashKernel::flash_3 && architecture != GpuArchitecture::hopper)
    return architecture == GpuArchitecture::blackwell ? FlashKernel::cudnn : FlashKernel::flash_2;
  if (kernel == FlashKernel::cudnn && architecture != GpuArchitecture::hopper &&
      architecture != GpuArchitecture::blackwell)
    return FlashKernel::flash_2;
  return kernel;
}

// Keys that one part of a split row holds at least: two tiles of 128, as for products.
constexpr std::int64_t kShortestSplit = 256;

}  // namespace

double flash_fraction(FlashKernel kernel, GpuArchitecture architecture, std::int64_t head_size, bool backward) {
  if (architecture == GpuArchitecture::other) return 1;
  if (architecture == GpuArchitecture::volta) kernel = FlashKernel::flash_1;  // the later ones need asynchronous copies
  if (architecture == GpuArchitecture::ada || architecture == GpuArchitecture::volta)
    architecture = GpuArchitecture::ampere;
  kernel = available(kernel, architecture);
  const std::size_t width = head_size <= 64 ? 0 : head_size <= 128 ? 1 : 2;
  for (const FlashRow& row : kRows)
    if (row.kernel == kernel && row.architecture == architecture)
      return backward ? row.backward[width] : row.forward[width];
  return 1;
}

ProductTime flash_time(const DeviceRates& rates, const FlashShape& shape, double flop, double bytes, bool backward) {
  const double per_flop = backward ? rates.flash_backward_s_per_flop : rates.flash_forward_s_per_flop;
  const std::int64_t tiles_per_head = (shape.queries + shape.query_tile - 1) / shape.query_tile;
  const double heads = static_cast<double>(shape.heads), tiles = static_cast<double>(tiles_per_head) * heads;
  double latency = rates.kernel_latency_s, parts = 1;
  if (tiles_per_head == 1 && 2 * tiles <= rates.multiprocessors && shape.keys >= 2 * kShortestSplit) {
    // One row of tiles per head leaves SMs idle: they share its keys, a second kernel joins the parts.
    parts = std::min(rates.multiprocessors / tiles, static_cast<double>(shape.keys / kShortestSplit));
    latency += rates.kernel_latency_s;
  }
  // Under a causal mask the last tile of a head sees about twice the keys of the average one; heavy tiles go first, so
  // the SMs finish together unless one tile is longer than the share of an SM.
  const double longest = tiles_per_head == 1 ? flop / heads / parts : std::min(2 * flop / tiles, flop / heads);
  double before_and_after = 0;
  if (backward) {
    // A kernel before it reads dO and O for their row sums (2 + 2 bytes per element), dQ is gathered in fp32 (zeroed 4,
    // added to 8), a kernel after it converts dQ (4 + 2).
    const double elements = static_cast<double>(shape.queries) * heads * static_cast<double>(shape.head_size);
    before_and_after = 14 * elements * rates.seconds_per_byte + 2 * (rates.kernel_latency_s + rates.gap_s);
    bytes += 8 * elements;
  }
  ProductTime time{};
  time.compute_s = std::max({flop, longest * rates.multiprocessors, flop * shape.imbalance}) * per_flop;
  time.memory_s = bytes * rates.seconds_per_byte;
  const double rounds = std::max(1.0, tiles * parts * rates.per_multiprocessor);
  time.seconds = latency + before_and_after + side_by_side(time.compute_s, time.memory_s) + rounds * rates.wave_s;
  return time;
}

}  // namespace dtcalc
