// What the laws of time read of a device, worked out once per evaluation: reciprocals, the tiles of its generation, the
// fractions of its attention kernels. sizes_of makes it; product_law, attention_law and law read it.
#pragma once

#include <array>
#include <cstdint>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Thread-block tile of a matrix product: 2^log_m x 2^log_n results.
struct GemmTile {
  std::int8_t log_m, log_n;
  double efficiency;  ///< share of an SM's matrix rate that its operands' trips through shared memory leave
};
inline constexpr int kMaxTiles = 8;

struct DeviceRates {
  double seconds_per_flop = 0;  ///< of large products
  double seconds_per_byte = 0;  ///< of large copies
  double kernel_latency_s = 0;
  double wave_s = 0;  ///< begin and end of a wave of tiles: a load and a store that nothing hides
  double multiprocessors = 0;
  double per_multiprocessor = 0;  ///< 1 / multiprocessors
  double l2_bytes = 0;
  double wave_side = 1;  ///< side of the square of results that one wave of the largest tile covers
  int tiles = 0;         ///< 0: no tiles are known, products follow the plain roofline
  std::array<double, kMaxTiles> tile_seconds_per_depth{};  ///< one tile on one SM, per unit of the inner dimension
  std::array<GemmTile, kMaxTiles> tile{};
  double block_time_per_flop = 1;  ///< of products with a block's weights over that of others: below 1 in fp8
  double flash_forward_s_per_flop = 0, flash_backward_s_per_flop = 0;
  double gap_s = 0;   ///< between kernels on the device
  double host_s = 0;  ///< of the host, per kernel, beside the device: 0 with graphs, and on a CPU, where gap_s holds it
};

/// Rates for products in `dtype` and fused attention of `head_size` under a software stack.
DeviceRates device_rates(const Device& device, const Software& software, Dtype dtype, std::int64_t head_size);

/// Time of arithmetic in `dtype` over that in `other`, at what large products reach.
double time_per_flop(const Device& device, Dtype dtype, Dtype other);

/// Seconds of a kernel that only moves bytes: time to start, then the achievable bandwidth. Small kernels do not reach
/// it: half of it at bytes = kernel_latency x bandwidth.
inline double stream_seconds(const DeviceRates& rates, double bytes) {
  return rates.kernel_latency_s + bytes * rates.seconds_per_byte;
}

}  // namespace dtcalc
