// Collectives by latency and bandwidth; see collective.hpp.
#include "costmodel/communication/collective.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace dtcalc {
namespace {

/// Handing a further slice over, as a share of a hop's latency. NVIDIA NCCL 2.30, src/graph/tuning.cc, hwLatencies of
/// rings, LL over Simple: NVLink 0.6/3.4, PCIe 1.0/5.7, network 2.7/14.0 us.
constexpr double pipelined_share = 0.18;
/// Slices that a connection between two ranks holds: NCCL_STEPS in src/include/device.h. A longer ring is filled by its
/// own N pieces.
constexpr double slices_in_flight = 8;
/// s. The same table, NVLS (NVLink SHARP).
constexpr double in_switch_latency = 25e-6;

/// `latency` s of all hops together, `wire` s of the bytes alone.
double phase(double hops, double latency, double wire) {
  const double filled = hops > slices_in_flight ? latency * slices_in_flight / hops : latency;
  return latency + wire + 2 * std::sqrt(pipelined_share * filled * wire);
}

/// ceil(log2 ways).
double levels(std::int64_t ways) { return static_cast<double>(std::bit_width(static_cast<std::uint64_t>(ways - 1))); }

/// A group on a fabric, in doubles.
struct Shape {
  double ways, per_node, nodes;
  double hop;   ///< s, the mean over a ring that enters each node once
  double rate;  ///< of a ring or tree over the whole group: all NICs of a node's ranks carry its border traffic
  double inner_levels, outer_levels;  ///< of a tree inside and between nodes
  const Fabric& fabric;
};

Shape shape_of(RankGroup group, const Fabric& fabric) {
  const std::int64_t per_node = std::min(group.per_node, group.ways), nodes = group.ways / per_node;
  const auto n = static_cast<double>(group.ways), g = static_cast<double>(per_node), m = static_cast<double>(nodes);
  if (nodes == 1) return {n, g, m, fabric.link_latency, fabric.link_rate, levels(per_node), 0, fabric};
  const double border = g * fabric.nic_rate;
  return {n,
          g,
          m,
          ((n - m) * fabric.link_latency + m * fabric.nic_latency) / n,
          per_node == 1 ? border : std::min(fabric.link_rate, border),
          levels(per_node),
          levels(nodes),
          fabric};
}

/// Times around the ring: an all-reduce is a reduce-scatter and an all-gather (E48).
double rounds(Collective collective) { return collective == Collective::all_reduce ? 2 : 1; }

CollectiveCost ring(Collective collective, double bytes, const Shape& s) {
  const double sent = ring_sent_bytes(collective, bytes, static_cast<std::int64_t>(s.ways));
  const double hops = rounds(collective) * (s.ways - 1);
  return {s.fabric.overhead + phase(hops, hops * s.hop, sent / s.rate), sent, Algorithm::ring};
}

/// Two binary trees over the same ranks, each with half of the data; a rank is a leaf of one and inside the other.
CollectiveCost tree(Collective collective, double bytes, const Shape& s) {
  const double sent = rounds(collective) * bytes;
  const double turns = rounds(collective);
  const double latency = s.inner_levels * s.fabric.link_latency + s.outer_levels * s.fabric.nic_latency;
  const double time = phase(turns * (s.inner_levels + s.outer_levels), turns * latency, sent / s.rate);
  return {s.fabric.overhead + time, sent, Algorithm::tree};
}

/// One ring round inside the nodes and what is left between them; an all-reduce does the first twice, around the
/// second.
CollectiveCost hierarchical(Collective collective, double bytes, const Shape& s) {
  const double inner_sent = bytes * (s.per_node - 1) / s.per_node, shard = bytes / s.per_node;
  const double hops = s.per_node - 1, turns = rounds(collective);
  const double inner = phase(hops, hops * s.fabric.link_latency, inner_sent / s.fabric.link_rate);
  double sent = turns * shard * (s.nodes - 1) / s.nodes;
  const double outer_hops = turns * (s.nodes - 1), tree_hops = turns * s.outer_levels;
  double outer = phase(outer_hops, outer_hops * s.fabric.nic_latency, sent / s.fabric.nic_rate);
  if (collective == Collective::all_reduce) {
    const double by_tree = phase(tree_hops, tree_hops * s.fabric.nic_latency, turns * shard / s.fabric.nic_rate);
    if (by_tree < outer) outer = by_tree, sent = turns * shard;
  }
  return {s.fabric.overhead + turns * inner + outer, turns * inner_sent + sent, Algorithm::hierarchical};
}

/// The switch reads M from every rank and sends the sum's shard to its owner, who hands it back to be multiplied: each
/// rank sends M + M/g and receives as much. Between nodes the shards go through a tree at the same time.
CollectiveCost in_switch(double bytes, const Shape& s) {
  const double inner_sent = bytes * (1 + 1 / s.per_node), outer_sent = s.nodes > 1 ? 2 * bytes / s.per_node : 0;
  const double wire = std::max(inner_sent / s.fabric.switch_rate, s.nodes > 1 ? outer_sent / s.fabric.nic_rate : 0);
  const double hops = 2 * s.outer_levels;
  return {s.fabric.overhead + phase(1 + hops, in_switch_latency + hops * s.fabric.nic_latency, wire),
          inner_sent + outer_sent, Algorithm::in_switch};
}

/// One shot: all ranks read all of every peer's M. Two shots: each adds up its share of all and reads the others' sums.
CollectiveCost peer_to_peer(double bytes, const Shape& s) {
  const Fabric& f = s.fabric;
  const double all = (s.ways - 1) * bytes, shares = 2 * bytes * (s.ways - 1) / s.ways;
  const double one = f.direct_latency + all / f.link_rate, two = 2 * f.direct_latency + shares / f.link_rate;
  return one <= two ? CollectiveCost{one, all, Algorithm::direct} : CollectiveCost{two, shares, Algorithm::direct};
}

/// Rank to rank: all-to-all in N - 1 turns, gather and scatter through the root's link, send in one hop.
CollectiveCost direct(Collective collective, double bytes, const Shape& s) {
  const Fabric& f = s.fabric;
  const double sent = ring_sent_bytes(collective, bytes, static_cast<std::int64_t>(s.ways));
  if (collective == Collective::send) {
    const bool inside = s.nodes == 1;
    const double latency = inside ? f.link_latency : f.nic_latency, rate = inside ? f.link_rate : f.nic_rate;
    return {f.overhead + phase(1, latency, bytes / rate), sent, Algorithm::ring};
  }
  const double share = bytes / s.ways;
  const double inside = s.per_node > 1 ? (s.per_node - 1) * share / f.link_rate : 0;
  const double outside = s.nodes > 1 ? (s.ways - s.per_node) * share / f.nic_rate : 0;
  const double latency = (s.per_node - 1) * f.link_latency + (s.ways - s.per_node) * f.nic_latency;
  return {f.overhead + phase(s.ways - 1, latency, std::max(inside, outside)), sent, Algorithm::ring};
}

bool goes_straight(Collective collective) {
  return collective == Collective::gather || collective == Collective::scatter ||
         collective == Collective::all_to_all || collective == Collective::send;
}

bool has(Algorithm algorithm, Collective collective, const Shape& s) {
  switch (algorithm) {
    case Algorithm::automatic:
    case Algorithm::ring:
      return true;
    case Algorithm::tree:
      return collective == Collective::broadcast || collective == Collective::reduce ||
             collective == Collective::all_reduce;
    case Algorithm::hierarchical:
      return s.nodes > 1 && s.per_node > 1 &&
             (collective == Collective::all_gather || collective == Collective::reduce_scatter ||
              collective == Collective::all_reduce);
    case Algorithm::in_switch:
      return s.fabric.switch_rate > 0 && s.per_node > 1 && collective == Collective::all_reduce;
    case Algorithm::direct:
      return s.fabric.direct_latency > 0 && s.nodes == 1 && collective == Collective::all_reduce;
  }
  return false;
}

CollectiveCost by(Algorithm algorithm, Collective collective, double bytes, const Shape& s) {
  switch (algorithm) {
    case Algorithm::tree:
      return tree(collective, bytes, s);
    case Algorithm::hierarchical:
      return hierarchical(collective, bytes, s);
    case Algorithm::in_switch:
      return in_switch(bytes, s);
    case Algorithm::direct:
      return peer_to_peer(bytes, s);
    case Algorithm::automatic:
    case Algorithm::ring:
      break;
  }
  return ring(collective, bytes, s);
}

}  // namespace

RankGroup group_along(std::int64_t ways, std::int64_t stride, std::int64_t devices_per_node) {
  // Groups start at multiples of ways * stride, so the greatest common divisor with the node is what always stays in.
  const std::int64_t together = std::max<std::int64_t>(1, std::gcd(ways * stride, devices_per_node) / stride);
  return {ways, std::gcd(ways, together)};
}

double ring_sent_bytes(Collective collective, double bytes, std::int64_t ways) {
  if (ways <= 1) return 0;
  const auto n = static_cast<double>(ways);
  switch (collective) {
    case Collective::broadcast:
    case Collective::reduce:
    case Collective::send:
      return bytes;
    case Collective::gather:
      return bytes / n;
    case Collective::scatter:
    case Collective::all_gather:
    case Collective::reduce_scatter:
    case Collective::all_to_all:
      return bytes * (n - 1) / n;
    case Collective::all_reduce:
      return 2 * bytes * (n - 1) / n;
  }
  return 0;
}

CollectiveCost collective_cost(Collective collective, double bytes, RankGroup group, const Fabric& fabric,
                               Algorithm algorithm) {
  if (group.ways <= 1) return {};
  const Shape shape = shape_of(group, fabric);
  if (goes_straight(collective)) return direct(collective, bytes, shape);
  if (algorithm != Algorithm::automatic)
    return by(has(algorithm, collective, shape) ? algorithm : Algorithm::ring, collective, bytes, shape);
  CollectiveCost best = ring(collective, bytes, shape);
  for (const Algorithm other : {Algorithm::tree, Algorithm::hierarchical, Algorithm::in_switch, Algorithm::direct})
    if (has(other, collective, shape))
      if (const CollectiveCost cost = by(other, collective, bytes, shape); cost.seconds < best.seconds) best = cost;
  return best;
}

}  // namespace dtcalc
