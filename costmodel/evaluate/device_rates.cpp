#include "costmodel/evaluate/device_rates.hpp"

#include "costmodel/evaluate/attention_law.hpp"
#include "costmodel/evaluate/product_law.hpp"

namespace dtcalc {

DeviceRates device_rates(const Device& device, const Software& software, Dtype dtype, std::int64_t head_size) {
  DeviceRates r;
  const double peak = device.rate(dtype).value(), bandwidth = device.memory_bandwidth.value();
  r.seconds_per_flop = peak > 0 ? software.compute_time_factor / (peak * device.achievable_fraction(dtype)) : 0;
  r.seconds_per_byte = bandwidth > 0 ? software.memory_time_factor / (bandwidth * device.achievable_bandwidth) : 0;
  r.kernel_latency_s = device.kernel_latency.value();
  r.wave_s = 2 * device.memory_latency.value();
  r.multiprocessors = static_cast<double>(device.multiprocessors);
  r.per_multiprocessor = device.multiprocessors > 0 ? 1 / r.multiprocessors : 0;
  r.l2_bytes = static_cast<double>(device.l2_cache.value());
  set_tiles(r, device.architecture);
  if (r.tiles > 0) {
    const double s_per_flop = software.compute_time_factor / peak;
    r.flash_forward_s_per_flop =
        s_per_flop / flash_fraction(software.flash_kernel, device.architecture, head_size, false);
    r.flash_backward_s_per_flop =
        s_per_flop / flash_fraction(software.flash_kernel, device.architecture, head_size, true);
  }
  r.gap_s = device.kernel_gap.value();
  const double launch_s = device.launch_overhead.value() + software.launch_overhead.value();
  if (device.kind == "cpu")
    r.gap_s += launch_s;  // nothing runs ahead: a launch is part of its kernel
  else if (!software.cuda_graphs)
    r.host_s = launch_s;
  return r;
}

double time_per_flop(const Device& device, Dtype dtype, Dtype other) {
  return device.rate(other).value() * device.achievable_fraction(other) /
         (device.rate(dtype).value() * device.achievable_fraction(dtype));
}

}  // namespace dtcalc
