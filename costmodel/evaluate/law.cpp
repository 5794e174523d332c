#include "costmodel/evaluate/law.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace dtcalc {
namespace {

/// Neighbours of x among the values a profile was measured at, and the weight of the upper one on a logarithmic scale.
struct Bracket {
  std::int64_t low = 0, high = 0;
  double weight = 0;
};

template <class Value>
Bracket bracket(std::span<const ProductPoint> points, std::string_view name, std::int64_t x, Value&& value) {
  constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
  Bracket b{0, none, 0};
  std::int64_t smallest = none, largest = 0;
  for (const ProductPoint& p : points) {
    if (p.kernel != name) continue;
    const std::int64_t v = value(p);
    smallest = std::min(smallest, v);
    largest = std::max(largest, v);
    if (v <= x) b.low = std::max(b.low, v);
    if (v >= x) b.high = std::min(b.high, v);
  }
  if (b.low == 0) b.low = b.high = smallest;     // below the grid: its edge
  if (b.high == none) b.low = b.high = largest;  // above it
  if (b.high > b.low)
    b.weight = std::log(static_cast<double>(x) / static_cast<double>(b.low)) /
               std::log(static_cast<double>(b.high) / static_cast<double>(b.low));
  return b;
}

double rate_at(std::span<const ProductPoint> points, std::string_view name, std::int64_t m, std::int64_t n,
               std::int64_t k) {
  for (const ProductPoint& p : points)
    if (p.m == m && p.n == n && p.k == k && p.kernel == name) return p.rate.value();
  return 0;
}

}  // namespace

double interpolated_rate(const Device& device, std::string_view name, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::span<const ProductPoint> points = device.products;
  const Bracket bm = bracket(points, name, m, [](const ProductPoint& p) { return p.m; });
  const Bracket bn = bracket(points, name, n, [](const ProductPoint& p) { return p.n; });
  const Bracket bk = bracket(points, name, k, [](const ProductPoint& p) { return p.k; });
  double log_rate = 0, weight = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const bool hm = corner & 1, hn = corner & 2, hk = corner & 4;
    const double w =
        (hm ? bm.weight : 1 - bm.weight) * (hn ? bn.weight : 1 - bn.weight) * (hk ? bk.weight : 1 - bk.weight);
    if (w == 0) continue;
    const double rate = rate_at(points, name, hm ? bm.high : bm.low, hn ? bn.high : bn.low, hk ? bk.high : bk.low);
    if (rate <= 0) continue;  // the grid has no such corner (it would have taken too long to measure)
    log_rate += w * std::log(rate);
    weight += w;
  }
  return weight > 0 ? std::exp(log_rate / weight) : 0;
}

double interpolated_loop(const Device& device, std::string_view name, std::int64_t elements) {
  const LoopPoint *low = nullptr, *high = nullptr;
  for (const LoopPoint& p : device.loops) {
    if (p.loop != name) continue;
    if (p.elements <= elements && (!low || p.elements > low->elements)) low = &p;
    if (p.elements >= elements && (!high || p.elements < high->elements)) high = &p;
  }
  if (!low) low = high;
  if (!high) high = low;
  if (!low) return 0;
  const double a = low->time.value() / static_cast<double>(low->elements);
  const double b = high->time.value() / static_cast<double>(high->elements);
  if (low->elements == high->elements) return a;
  const double w = std::log(static_cast<double>(elements) / static_cast<double>(low->elements)) /
                   std::log(static_cast<double>(high->elements) / static_cast<double>(low->elements));
  return std::exp((1 - w) * std::log(a) + w * std::log(b));
}

KernelCost kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes, const std::int64_t* values) {
  KernelCost cost;
  cost.flop = values[kernel.flop];
  for (std::size_t i = kernel.traffic_begin; i < kernel.traffic_end; ++i) {
    const Traffic& t = program.traffic[i];
    const std::int64_t bytes = bytes_of(values[t.extent], sizes.half_bytes[static_cast<int>(t.width)]);
    cost.read_bytes += t.reads * bytes;
    cost.written_bytes += t.writes * bytes;
  }
  if (sizes.calibrated) {
    const ContractInfo& contract = info(kernel.contract);
    const double rate = contract.is_product ? interpolated_rate(*sizes.calibrated, kernel.law, values[kernel.m],
                                                                values[kernel.n], values[kernel.k])
                                            : 0;
    const double loop =
        contract.is_product ? 0 : interpolated_loop(*sizes.calibrated, kernel.law, values[kernel.elements]);
    if (rate > 0 || loop > 0) {
      cost.seconds =
          rate > 0 ? static_cast<double>(cost.flop) / rate : static_cast<double>(values[kernel.elements]) * loop;
      if (kernel.contract == Contract::product && kernel.operands[3] != kNone) {  // the bias is a loop of its own
        const std::int64_t out = values[kernel.m] * values[kernel.n];
        cost.seconds += static_cast<double>(out) * interpolated_loop(*sizes.calibrated, "bias_dropout", out);
      }
      cost.bound = Bound::measured;
      return cost;
    }
  }
  const double compute = static_cast<double>(cost.flop) * sizes.seconds_per_flop;
  const double memory = static_cast<double>(cost.read_bytes + cost.written_bytes) * sizes.seconds_per_byte;
  cost.seconds = std::max(compute, memory);
  cost.bound = compute >= memory ? Bound::compute : Bound::memory;
  return cost;
}

}  // namespace dtcalc
