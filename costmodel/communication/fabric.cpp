// The figures of a fabric; see collective.hpp.
#include "costmodel/communication/collective.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

Fabric fabric_of(const Device& device, const Cluster& cluster) {
  const double link =
      cluster.link_bandwidth.value() > 0 ? cluster.link_bandwidth.value() : device.link_bandwidth.value();
  const double nic = cluster.nic_bandwidth.value() > 0 ? cluster.nic_bandwidth.value() : device.nic_bandwidth.value();
  const double nics_per_device = cluster.nics_per_node > 0 ? static_cast<double>(cluster.nics_per_node) /
                                                                 static_cast<double>(cluster.devices_per_node)
                                                           : 1;
  Fabric fabric;
  fabric.link_rate = link * cluster.link_efficiency;
  fabric.link_latency = cluster.link_latency.value();
  fabric.nic_rate = nic * nics_per_device * cluster.nic_efficiency;
  fabric.nic_latency = cluster.nic_latency.value();
  fabric.switch_rate = fabric.link_rate * cluster.switch_efficiency;
  fabric.overhead = cluster.collective_overhead.value();
  return fabric;
}

Fabric slowed(const Fabric& fabric, double factor) {
  Fabric f = fabric;
  f.link_rate /= factor, f.nic_rate /= factor, f.switch_rate /= factor;
  f.link_latency *= factor, f.nic_latency *= factor, f.overhead *= factor, f.direct_latency *= factor;
  return f;
}

}  // namespace dtcalc
