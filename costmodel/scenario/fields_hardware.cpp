// The keys of the sections `hardware` and `cluster`, and of the measured points inside them.
#include <algorithm>

#include "costmodel/scenario/field_rows.hpp"

namespace dtcalc {

namespace field_access {
namespace {

template <class Record, auto Member>
FieldOf<Record> element(std::string_view key, Range range, std::string_view help,
                        std::span<const std::string_view> choices = {}) {
  FieldInfo info;
  info.pointer = key;
  info.range = range;
  info.help = help;
  info.choices = choices;
  return row<Record, Member>(info);
}

}  // namespace

template <>
std::span<const FieldOf<ProductPoint>> record_fields() {
  using P = ProductPoint;
  static const std::vector<FieldOf<P>> table{
      element<P, &P::m>("/m", field_rows::positive(field_rows::max_count), "Rows of the result."),
      element<P, &P::n>("/n", field_rows::positive(field_rows::max_count), "Columns of the result."),
      element<P, &P::k>("/k", field_rows::positive(field_rows::max_count), "Length of the inner products."),
      element<P, &P::kernel>("/kernel", {}, "The kernel that does the product, by the name of its contract."),
      element<P, &P::rate>("/rate_flop_per_s", field_rows::positive(field_rows::max_rate),
                           "FLOPs of the kernel per second."),
  };
  return table;
}

template <>
std::span<const FieldOf<LoopPoint>> record_fields() {
  using P = LoopPoint;
  static const std::vector<FieldOf<P>> table{
      element<P, &P::loop>("/loop", {}, "Name of the loop."),
      element<P, &P::elements>("/elements", field_rows::positive(9e15), "Elements it went over."),
      element<P, &P::time>("/time_s", field_rows::count(1e6), "Time of the whole loop."),
  };
  return table;
}

}  // namespace field_access

namespace field_rows {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> device_kinds{"gpu", "cpu"};
constexpr std::array<std::string_view, 5> measured_dtypes{"", "fp32", "tf32", "fp16", "bf16"};

/// The peak rate of one dtype, a key of its own so that each figure has its unit and its place.
template <Dtype dtype>
Field rate(std::string_view pointer) {
  FieldInfo info;
  info.pointer = pointer;
  info.type = FieldType::number;
  info.unit = "FLOP/s";
  info.range = positive(max_rate);
  info.derived_default = "not supported";
  info.help = "Dense peak rate of matrix products in this dtype; without it the device has no such arithmetic.";
  return {info,
          [](const json& value, const FieldInfo& about, const std::string& place, Scenario& scenario,
             std::vector<Error>& errors) {
            double flop_per_s = 0;
            if (!field_access::read_number(value, about, place, flop_per_s, errors)) return false;
            auto& rates = scenario.hardware.compute;
            std::erase_if(rates, [](const ComputeRate& known) { return known.dtype == dtype; });
            rates.push_back({dtype, FlopPerSecond(flop_per_s)});
            std::sort(rates.begin(), rates.end(),
                      [](const ComputeRate& a, const ComputeRate& b) { return a.dtype < b.dtype; });
            return true;
          },
          [](const Scenario& scenario) {
            const double flop_per_s = scenario.hardware.rate(dtype).value();
            return flop_per_s > 0 ? json(flop_per_s) : json(nullptr);
          }};
}

/// The row of the fraction of that rate which is achievable.
template <Dtype dtype>
Field achievable(std::string_view pointer) {
  FieldInfo info;
  info.pointer = pointer;
  info.type = FieldType::number;
  info.range = above_zero(1);
  info.derived_default = "1";
  info.help = "Share of the peak rate that large matrix products of a tuned library reach.";
  return {info,
          [](const json& value, const FieldInfo& about, const std::string& place, Scenario& scenario,
             std::vector<Error>& errors) {
            double of_peak = 1;
            if (!field_access::read_number(value, about, place, of_peak, errors)) return false;
            auto& known = scenario.hardware.achievable_compute;
            std::erase_if(known, [](const ComputeFraction& c) { return c.dtype == dtype; });
            known.push_back({dtype, of_peak});
            std::sort(known.begin(), known.end(),
                      [](const ComputeFraction& a, const ComputeFraction& b) { return a.dtype < b.dtype; });
            return true;
          },
          [](const Scenario& scenario) {
            for (const ComputeFraction& c : scenario.hardware.achievable_compute)
              if (c.dtype == dtype) return json(c.fraction);
            return json(nullptr);
          }};
}

}  // namespace

std::vector<Field> hardware() {
  using S = Scenario;
  using D = Device;
  return {
      in<&S::hardware, &D::id>("/hardware/id", "Name of the profile."),
      in<&S::hardware, &D::name>("/hardware/name", "The device as its vendor calls it."),
      in<&S::hardware, &D::origin>("/hardware/origin", "Where the figures come from; printed beside every time."),
      word<&S::hardware, &D::kind>("/hardware/kind", device_kinds, "A GPU, or all cores of a CPU."),
      in<&S::hardware, &D::architecture>("/hardware/architecture",
                                         "Generation of the GPU: which tiles its matrix products come in; other has "
                                         "the plain roofline."),
      rate<Dtype::fp64>("/hardware/compute_flop_per_s/fp64"),
      rate<Dtype::fp32>("/hardware/compute_flop_per_s/fp32"),
      rate<Dtype::tf32>("/hardware/compute_flop_per_s/tf32"),
      rate<Dtype::fp16>("/hardware/compute_flop_per_s/fp16"),
      rate<Dtype::bf16>("/hardware/compute_flop_per_s/bf16"),
      rate<Dtype::fp8>("/hardware/compute_flop_per_s/fp8"),
      rate<Dtype::fp4>("/hardware/compute_flop_per_s/fp4"),
      achievable<Dtype::fp64>("/hardware/achievable_compute_fraction/fp64"),
      achievable<Dtype::fp32>("/hardware/achievable_compute_fraction/fp32"),
      achievable<Dtype::tf32>("/hardware/achievable_compute_fraction/tf32"),
      achievable<Dtype::fp16>("/hardware/achievable_compute_fraction/fp16"),
      achievable<Dtype::bf16>("/hardware/achievable_compute_fraction/bf16"),
      achievable<Dtype::fp8>("/hardware/achievable_compute_fraction/fp8"),
      achievable<Dtype::fp4>("/hardware/achievable_compute_fraction/fp4"),
      in<&S::hardware, &D::memory_bandwidth>("/hardware/memory_bandwidth_bytes_per_s", count(max_rate),
                                             "Peak rate of device memory; bounds everything but large products."),
      in<&S::hardware, &D::achievable_bandwidth>("/hardware/achievable_bandwidth_fraction", above_zero(1),
                                                 "Share of the memory bandwidth that a large copy reaches."),
      in<&S::hardware, &D::memory_latency>(
          "/hardware/memory_latency_s", count(max_seconds),
          "One load from device memory; a wave of tiles waits for it when it begins and when it ends."),
      in<&S::hardware, &D::kernel_latency>("/hardware/kernel_latency_s", count(max_seconds),
                                           "Shortest duration of a kernel; bounds kernels over few bytes."),
      in<&S::hardware, &D::kernel_gap>("/hardware/kernel_gap_s", count(max_seconds),
                                       "Idle time between two kernels that are already queued."),
      in<&S::hardware, &D::memory>("/hardware/memory_bytes", count(max_bytes),
                                   "Device memory as the driver reports it; what does not fit is refused."),
      in<&S::hardware, &D::multiprocessors>("/hardware/multiprocessors", count(1e6), "SMs of a GPU, cores of a CPU."),
      in<&S::hardware, &D::clock_hz>("/hardware/clock_hz", count(1e12), "Highest sustained clock.", "", "Hz"),
      in<&S::hardware, &D::shared_memory_per_multiprocessor>(
          "/hardware/shared_memory_per_multiprocessor_bytes", count(max_bytes),
          "Shared memory of one SM; bounds the tiles of fused attention."),
      in<&S::hardware, &D::l2_cache>("/hardware/l2_cache_bytes", count(max_bytes), "Last cache before device memory."),
      in<&S::hardware, &D::link_bandwidth>("/hardware/link_bytes_per_s", count(max_rate),
                                           "To the other devices of a node, one way, per device."),
      in<&S::hardware, &D::nic_bandwidth>("/hardware/nic_bytes_per_s", count(max_rate),
                                          "To other nodes, one way, per device."),
      in<&S::hardware, &D::launch_overhead>("/hardware/launch_overhead_s", count(max_seconds),
                                            "Host cost of queueing one kernel; bounds small models."),
      in<&S::hardware, &D::power_w>("/hardware/power_w", count(1e6), "Power limit of the device.", "", "W"),
      in<&S::hardware, &D::source>("/hardware/source", "Where the figures come from."),
      in<&S::hardware, &D::date>("/hardware/date", "When the source was read or the device measured."),
      in<&S::hardware, &D::machine>("/hardware/machine", "The machine a measured profile belongs to."),
      in<&S::hardware, &D::notes>("/hardware/notes", "What is not sure about the figures."),
      in<&S::hardware, &D::sources>("/hardware/sources", "Source of each figure, by its key in this section."),
      in<&S::hardware, &D::products>("/hardware/products", "Measured matrix products C (m x n) = A (m x k) B (k x n)."),
      in<&S::hardware, &D::loops>("/hardware/loops", "Measured loops over elements."),
      word<&S::hardware, &D::measured_dtype>("/hardware/measured_dtype", measured_dtypes,
                                             "Dtype of the measured points; what computes in another is predicted by "
                                             "law. Empty: they serve every dtype."),
      in<&S::hardware, &D::library_memory>("/hardware/library_memory_bytes", count(max_bytes),
                                           "Process memory beside the arena; a line of its own in a run's memory."),
  };
}

std::vector<Field> cluster() {
  using S = Scenario;
  using C = Cluster;
  return {
      in<&S::cluster, &C::id>("/cluster/id", "Name of the profile."),
      in<&S::cluster, &C::nodes>("/cluster/nodes", positive(1e6), "Machines of the cluster."),
      in<&S::cluster, &C::devices_per_node>("/cluster/devices_per_node", positive(1e4),
                                            "Devices that share links or a switch: 8 of a DGX, 72 of an NVL72 rack."),
      in<&S::cluster, &C::link_bandwidth>("/cluster/link_bytes_per_s", count(max_rate),
                                          "To the other devices of a node, one way, per device.",
                                          "the device's link_bytes_per_s"),
      in<&S::cluster, &C::link_efficiency>("/cluster/link_efficiency", share,
                                           "Share of the links' rate that collectives reach with large messages."),
      in<&S::cluster, &C::link_latency>("/cluster/link_latency_s", count(max_seconds),
                                        "Time of a hop inside a node, the software's share included."),
      in<&S::cluster, &C::nics_per_node>("/cluster/nics_per_node", count(1e4),
                                         "Network ports of a node, shared evenly by its devices.", "devices_per_node"),
      in<&S::cluster, &C::nic_bandwidth>("/cluster/nic_bytes_per_s", count(max_rate),
                                         "Rate of one network port, one way.", "the device's nic_bytes_per_s"),
      in<&S::cluster, &C::nic_efficiency>("/cluster/nic_efficiency", share,
                                          "Share of the ports' rate that collectives reach with large messages."),
      in<&S::cluster, &C::nic_latency>("/cluster/nic_latency_s", count(max_seconds),
                                       "Time of a hop between nodes, the software's share included."),
      in<&S::cluster, &C::switch_efficiency>(
          "/cluster/switch_efficiency", Range{0, 1, false, false},
          "Share of the reachable link rate when the node's switch reduces (NVLink SHARP); 0: it cannot."),
      in<&S::cluster, &C::collective_overhead>("/cluster/collective_overhead_s", count(max_seconds),
                                               "Time of a collective that moves nothing."),
      in<&S::cluster, &C::source>("/cluster/source", "Where the figures come from."),
      in<&S::cluster, &C::date>("/cluster/date", "When the source was read."),
      in<&S::cluster, &C::notes>("/cluster/notes", "What is not sure about the figures."),
      in<&S::cluster, &C::sources>("/cluster/sources", "Source of each figure, by its key in this section."),
  };
}

}  // namespace field_rows
}  // namespace dtcalc
