// The figures of a fabric; see collective.hpp.
#include "costmodel/communication/collective.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {
namespace {

// NVIDIA NCCL 2.30, src/graph/tuning.cc: base latency of a ring and hwLatencies of rings, NVLink and network, protocol
// Simple.
constexpr double overhead = 8.4e-6, link_latency = 3.4e-6, nic_latency = 14e-6;
// NVIDIA NCCL 2.30, src/graph/topo.h: 20 of 25 GB/s of an NVLink 3, 12 of 12.5 GB/s of a 100 Gb/s port.
constexpr double link_efficiency = 0.8, nic_efficiency = 0.96;

}  // namespace

Fabric fabric_of(const Device& device, const Cluster&) {
  Fabric fabric;
  fabric.link_rate = device.link_bandwidth.value() * link_efficiency;
  fabric.link_latency = link_latency;
  fabric.nic_rate = device.nic_bandwidth.value() * nic_efficiency;
  fabric.nic_latency = nic_latency;
  fabric.overhead = overhead;
  return fabric;
}

}  // namespace dtcalc
