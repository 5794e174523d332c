// Occupancy; see occupancy.hpp.
#include "costmodel/formulas/occupancy.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace dtcalc::formulas {
namespace {

constexpr std::int64_t kWarp = 32;

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Products of a generation's tensor cores in 16 bits, and fp32 on its CUDA cores.
struct Rates {
  double fp32, half;
};
std::optional<Rates> rates_of(GpuArchitecture architecture) {
  switch (architecture) {
    case GpuArchitecture::volta:
      return Rates{128, 1024};
    case GpuArchitecture::ampere:
      return Rates{128, 2048};
    case GpuArchitecture::ada:
      return Rates{256, 1024};
    case GpuArchitecture::hopper:
      return Rates{256, 4096};
    case GpuArchitecture::blackwell:
      return Rates{256, 8192};
    case GpuArchitecture::other:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> flop_per_cycle(GpuArchitecture architecture, Dtype dtype) {
  const std::optional<Rates> rates = rates_of(architecture);
  if (!rates) return std::nullopt;
  const auto from = [&](GpuArchitecture first, double factor) -> std::optional<double> {
    if (architecture < first) return std::nullopt;
    return rates->half * factor;
  };
  switch (dtype) {
    case Dtype::fp32:
      return rates->fp32;
    case Dtype::fp16:
      return rates->half;
    case Dtype::bf16:
      return from(GpuArchitecture::ampere, 1);
    case Dtype::tf32:
      return from(GpuArchitecture::ampere, 0.5);
    case Dtype::fp8:
      return from(GpuArchitecture::ada, 2);
    case Dtype::fp4:
      return from(GpuArchitecture::blackwell, 4);
    case Dtype::fp64:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<MultiprocessorLimits> multiprocessor_limits(GpuArchitecture architecture,
                                                          std::int64_t shared_memory_bytes) {
  MultiprocessorLimits limits{2048, 32, 65536, shared_memory_bytes, 1024};
  if (architecture == GpuArchitecture::other) return std::nullopt;
  if (architecture == GpuArchitecture::volta) limits.reserved_bytes = 0;
  if (architecture == GpuArchitecture::ada) limits.threads = 1536, limits.blocks = 24;
  return limits;
}

Occupancy occupancy(const MultiprocessorLimits& limits, std::int64_t threads, std::int64_t registers,
                    std::int64_t shared_bytes) {
  const std::int64_t warps = round_up(threads, kWarp) / kWarp;
  const std::int64_t of_block = warps * round_up(registers * kWarp, limits.register_unit);
  const std::int64_t shared = round_up(shared_bytes + limits.reserved_bytes, limits.shared_unit);
  const std::array<std::pair<std::int64_t, std::string_view>, 4> allowed{
      {{limits.threads / (warps * kWarp), "threads"},
       {limits.registers / of_block, "registers"},
       {shared > 0 ? limits.shared_memory_bytes / shared : limits.blocks, "shared memory"},
       {limits.blocks, "blocks"}}};
  const auto fewest =
      std::min_element(allowed.begin(), allowed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Occupancy result;
  result.blocks = fewest->first;
  result.limit = fewest->second;
  result.warps = result.blocks * warps;
  result.share = static_cast<double>(result.warps * kWarp) / static_cast<double>(limits.threads);
  return result;
}

}  // namespace dtcalc::formulas
