#include "costmodel/evaluate/law.hpp"

#include <algorithm>

#include "costmodel/evaluate/attention_law.hpp"
#include "costmodel/evaluate/measured_rates.hpp"
#include "costmodel/evaluate/product_law.hpp"

namespace dtcalc {
namespace {

bool is_flash(const Kernel& kernel) {
  return kernel.contract == Contract::flash || kernel.contract == Contract::flash_backward;
}

/// What the law of fused attention counts, however many products a stack's kernels execute: two forward, five backward
/// (Alg. 2 and 3), over the tiles that the software profile names. Rates are published and measured so.
double flash_law_flop(const Kernel& kernel, const Sizes& sizes, const std::int64_t* values) {
  const Symbol pairs = kernel.local ? Symbol::flash_pairs_local : Symbol::flash_pairs_global;
  return (kernel.contract == Contract::flash_backward ? 10 : 4) * static_cast<double>(values[kernel.batch]) *
         static_cast<double>(values[kernel.k]) * static_cast<double>(sizes.symbol[static_cast<int>(pairs)]);
}

double flash_imbalance(const Kernel& kernel, const Sizes& sizes, const std::int64_t* values) {
  const auto of = [&](Symbol symbol) { return static_cast<double>(sizes.symbol[static_cast<int>(symbol)]); };
  return imbalance(sizes.balance[kernel.local][kernel.contract == Contract::flash_backward],
                   static_cast<double>(values[kernel.batch]), of(Symbol::heads) / of(Symbol::kv_heads),
                   sizes.rates.multiprocessors);
}

/// Products by their own laws where the architecture is known; everything else by bytes, and by FLOPs at least.
ProductTime datasheet_time(const Kernel& kernel, const Sizes& sizes, const std::int64_t* values,
                           const KernelCost& cost) {
  const DeviceRates& rates = sizes.rates;
  const double bytes = cost.read_bytes + cost.written_bytes;
  if (rates.tiles > 0 && cost.flop > 0) {
    const std::int64_t m = values[kernel.m], n = values[kernel.n], k = values[kernel.k], batch = values[kernel.batch];
    if (is_flash(kernel))
      return flash_time(rates, {m, n, batch, k, sizes.flash_query_tile, flash_imbalance(kernel, sizes, values)},
                        flash_law_flop(kernel, sizes, values), bytes, kernel.contract == Contract::flash_backward);
    if (info(kernel.contract).is_product) {
      const double per_flop = kernel.block_weight ? rates.block_time_per_flop : 1;
      ProductTime time = product_time(rates, m, n, k, batch, bytes,
                                      kernel.casts_apart ? 1 : 0.5 * half_bytes(sizes.product_dtype), per_flop);
      // In fp8 the operand that is no weight is cast before, where no kernel of its own does that: read in two bytes,
      // written in one, and once more transposed for the weight's gradient, which finds it ready.
      if (per_flop < 1 && !kernel.casts_apart && !kernel.joined && kernel.contract != Contract::product_weight)
        time.seconds += stream_seconds(rates, 4 * static_cast<double>(m) * static_cast<double>(k));
      return time;
    }
  }
  const double compute_s = cost.flop * rates.seconds_per_flop, memory_s = bytes * rates.seconds_per_byte;
  return {rates.kernel_latency_s + std::max(compute_s, memory_s), compute_s, memory_s};
}

}  // namespace

double interpolated_loop(const MeasuredRates& rates, std::string_view name, std::int64_t elements) {
  const LawId law = law_id(name);
  return law == kNoLaw ? 0 : rates.loop_seconds(law, elements);
}

KernelCost kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes, const std::int64_t* values) {
  std::int64_t read_bytes = 0, written_bytes = 0;
  for (std::size_t i = kernel.traffic_begin; i < kernel.traffic_end; ++i) {
    const Traffic& t = program.traffic[i];
    const std::int64_t bytes = bytes_of(values[t.extent], sizes.half_bytes[static_cast<int>(t.width)]);
    read_bytes += t.reads * bytes;
    written_bytes += t.writes * bytes;
  }
  KernelCost cost{static_cast<double>(values[kernel.flop]),
                  static_cast<double>(read_bytes),
                  static_cast<double>(written_bytes),
                  0,
                  0,
                  Bound::measured};
  if (sizes.calibrated) {
    const MeasuredRates& measured = *sizes.calibrated;
    const bool product = info(kernel.contract).is_product;
    const double rate =
        product ? measured.product_rate(kernel.law_id, values[kernel.m], values[kernel.n], values[kernel.k]) : 0;
    const double factor =
        product ? measured.product_factor(kernel.law_id, values[kernel.m], values[kernel.n], values[kernel.k]) : 0;
    if (factor > 0) {
      cost.seconds = factor * datasheet_time(kernel, sizes, values, cost).seconds;
      return cost;
    }
    const double loop = product ? 0 : measured.loop_seconds(kernel.law_id, values[kernel.elements]);
    if (rate > 0 || loop > 0) {
      const double flop =
          is_flash(kernel) ? flash_law_flop(kernel, sizes, values) * flash_imbalance(kernel, sizes, values) : cost.flop;
      cost.seconds = rate > 0 ? flop / rate : static_cast<double>(values[kernel.elements]) * loop;
      if (sizes.bias_is_a_loop && kernel.contract == Contract::product && kernel.operands[3] != kNone) {
        const std::int64_t out = values[kernel.m] * values[kernel.n];
        cost.seconds +=
            static_cast<double>(out) * measured.loop_seconds(static_cast<LawId>(Contract::bias_dropout), out);
      }
      return cost;
    }
  }
  const ProductTime time = datasheet_time(kernel, sizes, values, cost);
  cost.seconds = time.seconds + (kernel.more_launches - (kernel.joined ? 1 : 0)) * sizes.rates.kernel_latency_s;
  cost.bound = time.compute_s >= time.memory_s ? Bound::compute : Bound::memory;
  return cost;
}

}  // namespace dtcalc
