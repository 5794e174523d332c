// Seconds and bytes of one collective of App. B over a group of devices, by latency and bandwidth. Called for every
// collective of a layout, in training and in inference: arithmetic on plain numbers, no allocation.
//
// A phase whose bytes alone take W and whose hops alone take A needs A + W + 2 sqrt(pipelined_share A W): a message
// goes from hop to hop in slices, many slices fill the pipeline sooner, few are handed over less often, and this is
// what the best number of slices leaves (of hops beyond 8, eight count in the root). docs/communication.md derives it
// and compares it with measurements.
#pragma once

#include <cstdint>

namespace dtcalc {

struct Device;
struct Cluster;

/// M below is the whole tensor: what every rank holds after an all-gather, a broadcast or an all-reduce and before a
/// reduce-scatter, a reduce or an all-to-all, what the root holds after a gather and before a scatter.
enum class Collective : std::uint8_t {
  broadcast,       ///< the root's M to all
  gather,          ///< M/N from each rank to the root
  scatter,         ///< M/N from the root to each rank
  reduce,          ///< the sum of all M to the root
  all_gather,      ///< M/N from each to all
  reduce_scatter,  ///< M/N of the sum to each
  all_reduce,      ///< the sum to all
  all_to_all,      ///< M/N of each to each, M on every rank
  send             ///< M from one rank to another: a group of two
};

enum class Algorithm : std::uint8_t {
  automatic,     ///< the fastest for the collective, the group and the size
  ring,          ///< neighbour to neighbour; least bytes, N - 1 hops (twice that for an all-reduce)
  tree,          ///< double binary tree: log2 N hops, M (N-1)/N grows to M; broadcast, reduce, all-reduce
  hierarchical,  ///< rings inside the nodes, then between them on 1/per_node of the data
  in_switch,     ///< the switch adds and multiplies (NVLink SHARP); all-reduce, between nodes continued by a tree
  direct         ///< every rank reads its peers' memory in one kernel, all of it or a share; all-reduce inside a node
};

/// Ranks of one collective. `per_node` of them share a node: it divides `ways` or is at least `ways`.
struct RankGroup {
  std::int64_t ways = 1;
  std::int64_t per_node = 1;
};

/// The group of `ways` ranks that are `stride` devices apart, for nodes of `devices_per_node`. Where some groups of the
/// axis straddle nodes more than others, the worst.
RankGroup group_along(std::int64_t ways, std::int64_t stride, std::int64_t devices_per_node);

/// What collectives need of a machine. Rates are achievable bytes per second, one way, per device; 0: no such link.
struct Fabric {
  double link_rate = 0;       ///< inside a node
  double link_latency = 0;    ///< s per hop inside a node
  double nic_rate = 0;        ///< between nodes
  double nic_latency = 0;     ///< s per hop between nodes
  double switch_rate = 0;     ///< of a link when the node's switch reduces; 0: it cannot
  double overhead = 0;        ///< s of a collective that moves nothing
  double direct_latency = 0;  ///< s of a direct all-reduce that moves nothing; 0: the stack has none
};

/// The fabric of a scenario: the cluster's figures, else the device's.
Fabric fabric_of(const Device& device, const Cluster& cluster);

/// The fabric on which everything takes `factor` times as long.
Fabric slowed(const Fabric& fabric, double factor);

struct CollectiveCost {
  double seconds = 0;
  double sent_bytes = 0;  ///< by each rank that sends (of a scatter: the root); a ring's are App. B's
  Algorithm algorithm = Algorithm::ring;
};

/// `bytes` is M. A group of one costs nothing. The link or NIC that the group needs has a rate above 0. Gather,
/// scatter, all-to-all and send go straight from rank to rank whatever `algorithm` says; where a collective lacks the
/// named algorithm, the ring is taken.
CollectiveCost collective_cost(Collective collective, double bytes, RankGroup group, const Fabric& fabric,
                               Algorithm algorithm = Algorithm::automatic);

/// Bytes that a ring (or a direct exchange) sends: App. B in terms of M. The least of any algorithm without a switch
/// that reduces.
double ring_sent_bytes(Collective collective, double bytes, std::int64_t ways);

}  // namespace dtcalc
