#include "costmodel/report/occupancy.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/formulas/hardware.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

/// A peak rate of the profile beside multiprocessors x FLOP per cycle x clock.
struct PeakRow {
  Dtype dtype;
  double per_cycle;
  FlopPerSecond product{0}, profile{0};
};

std::vector<PeakRow> peaks(const Device& d) {
  std::vector<PeakRow> rows;
  for (const ComputeRate& rate : d.compute)
    if (const std::optional<double> per_cycle = formulas::flop_per_cycle(d.architecture, rate.dtype);
        per_cycle && d.clock_hz > 0)
      rows.push_back(
          {rate.dtype, *per_cycle,
           FlopPerSecond(formulas::peak_flop_rate(static_cast<double>(d.multiprocessors), *per_cycle, d.clock_hz)),
           rate.rate});
  return rows;
}

}  // namespace

Result<KernelOccupancy> kernel_occupancy(const Device& device, const KernelShape& kernel) {
  const auto limits =
      formulas::multiprocessor_limits(device.architecture, device.shared_memory_per_multiprocessor.value());
  if (!limits || device.shared_memory_per_multiprocessor.value() == 0)
    return Error{"--hardware", device.id, "has no multiprocessors whose limits are known",
                 "name a GPU whose profile has architecture and shared_memory_per_multiprocessor_bytes"};
  return KernelOccupancy{device, kernel, *limits,
                         formulas::occupancy(*limits, kernel.threads, kernel.registers, kernel.shared.value())};
}

nlohmann::ordered_json to_json(const KernelOccupancy& o) {
  nlohmann::ordered_json document{{"schema", "dtcalc.occupancy/1"},
                                  {"hardware", o.device.id},
                                  {"threads", o.kernel.threads},
                                  {"registers", o.kernel.registers},
                                  {"shared_bytes", o.kernel.shared.value()},
                                  {"blocks", o.occupancy.blocks},
                                  {"warps", o.occupancy.warps},
                                  {"occupancy", o.occupancy.share},
                                  {"limit", o.occupancy.limit},
                                  {"peaks", nlohmann::ordered_json::array()}};
  for (const PeakRow& row : peaks(o.device))
    document["peaks"].push_back({{"dtype", name_of(row.dtype)},
                                 {"flop_per_cycle", row.per_cycle},
                                 {"peak_flop_per_s", row.product.value()},
                                 {"profile_flop_per_s", row.profile.value()}});
  return document;
}

std::string to_text(const KernelOccupancy& o) {
  std::string result = fmt::format("{}: blocks of {} threads, {} registers a thread, {} of shared memory\n",
                                   o.device.name, o.kernel.threads, o.kernel.registers, print(o.kernel.shared));
  if (o.occupancy.blocks == 0)
    result += fmt::format("  not even one block fits on a multiprocessor: too much of its {}\n", o.occupancy.limit);
  else
    result += fmt::format("  {} block{} on a multiprocessor, {} of {} warps: {:.1f} %, limited by {}\n",
                          o.occupancy.blocks, o.occupancy.blocks == 1 ? "" : "s", o.occupancy.warps,
                          o.limits.threads / 32, 100 * o.occupancy.share, o.occupancy.limit);
  const std::vector<PeakRow> rows = peaks(o.device);
  if (rows.empty()) return result;
  result += fmt::format("\nPeak of {} multiprocessors at {:.4g} GHz (C.1)\n", o.device.multiprocessors,
                        o.device.clock_hz / 1e9);
  Table table{{{"dtype"},
               {"FLOP a cycle", Align::right},
               {"product", Align::right},
               {"profile", Align::right},
               {"profile over product", Align::right}},
              {}};
  for (const PeakRow& row : rows)
    table.rows.push_back({std::string(name_of(row.dtype)), fmt::format("{:.0f}", row.per_cycle), print(row.product),
                          print(row.profile), fmt::format("{:.3f}", row.profile / row.product)});
  return result + text(table, 2);
}

}  // namespace dtcalc::report
