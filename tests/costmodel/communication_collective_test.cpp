// Collectives: rings played chunk by chunk, App. B's closed forms, and what must hold on any fabric.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "costmodel/communication/collective.hpp"
#include "costmodel/formulas/communication.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

constexpr std::array all{Collective::broadcast,  Collective::gather,     Collective::scatter,
                         Collective::reduce,     Collective::all_gather, Collective::reduce_scatter,
                         Collective::all_reduce, Collective::all_to_all, Collective::send};
constexpr std::array algorithms{Algorithm::automatic, Algorithm::ring, Algorithm::tree, Algorithm::hierarchical,
                                Algorithm::in_switch};

Fabric dgx() {
  Fabric fabric;
  fabric.link_rate = 240e9, fabric.link_latency = 3e-6;
  fabric.nic_rate = 24e9, fabric.nic_latency = 14e-6;
  fabric.overhead = 8e-6;
  return fabric;
}

Fabric with_switch() {
  Fabric fabric = dgx();
  fabric.switch_rate = 200e9;
  return fabric;
}

/// A ring played step by step: in every step each rank hands one chunk to its right neighbour, who adds or stores it.
/// values[r][c]: chunk c as rank r has it.
struct PlayedRing {
  std::vector<std::vector<double>> values;
  std::int64_t steps = 0;
  std::vector<double> sent_chunks;

  explicit PlayedRing(std::size_t ranks) : values(ranks, std::vector<double>(ranks)), sent_chunks(ranks, 0) {}

  /// Rank r hands over chunk (r + first - step) mod N.
  void round(std::size_t first, bool add) {
    const std::size_t n = values.size();
    for (std::size_t step = 0; step + 1 < n; ++step, ++steps) {
      const auto before = values;
      for (std::size_t r = 0; r < n; ++r) {
        const std::size_t chunk = (r + first + n - step) % n;
        double& there = values[(r + 1) % n][chunk];
        there = before[r][chunk] + (add ? there : 0);
        ++sent_chunks[r];
      }
    }
  }
};

}  // namespace

TEST_CASE("an all-reduce played on a ring takes the hops and the bytes that it is charged for", "[communication]") {
  for (const std::size_t n : {2U, 3U, 4U, 7U, 8U}) {
    CAPTURE(n);
    const double bytes = 1e9, chunk = bytes / static_cast<double>(n);
    PlayedRing ring(n);
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < n; ++c) ring.values[r][c] = static_cast<double>(100 * r + c);
    // After a reduce-scatter rank r holds the sum of chunk r + 1.
    ring.round(0, true);
    const std::int64_t scatter_steps = ring.steps;
    for (std::size_t r = 0; r < n; ++r) {
      const std::size_t c = (r + 1) % n;
      REQUIRE(ring.values[r][c] == static_cast<double>(100 * n * (n - 1) / 2 + n * c));
      REQUIRE(ring.sent_chunks[r] * chunk == Approx(ring_sent_bytes(Collective::reduce_scatter, bytes, n)));
    }
    ring.round(1, false);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t c = 0; c < n; ++c) REQUIRE(ring.values[r][c] == ring.values[0][c]);
      REQUIRE(ring.sent_chunks[r] * chunk == Approx(ring_sent_bytes(Collective::all_reduce, bytes, n)));
    }
    // Without bytes only the hops remain; without latency only the bytes.
    const auto ways = static_cast<std::int64_t>(n);
    Fabric hops{0, 0, 0, 0, 0, 0};
    hops.link_rate = 1, hops.link_latency = 1;
    CHECK(collective_cost(Collective::reduce_scatter, 0, {ways, ways}, hops, Algorithm::ring).seconds ==
          static_cast<double>(scatter_steps));
    CHECK(collective_cost(Collective::all_gather, 0, {ways, ways}, hops, Algorithm::ring).seconds ==
          static_cast<double>(ring.steps - scatter_steps));
    CHECK(collective_cost(Collective::all_reduce, 0, {ways, ways}, hops, Algorithm::ring).seconds ==
          static_cast<double>(ring.steps));
    Fabric wire{};
    wire.link_rate = 1e9;
    CHECK(collective_cost(Collective::all_reduce, bytes, {ways, ways}, wire, Algorithm::ring).seconds ==
          Approx(ring.sent_chunks[0] * chunk / 1e9));
  }
}

TEST_CASE("a ring sends the bytes of App. B's closed forms", "[communication]") {
  using Form = formulas::Collective;
  const double M = 3 * 5 * 7 * 64 * 1e3;
  for (const std::int64_t N : {1, 2, 3, 4, 5, 8, 64, 576}) {
    CAPTURE(N);
    const auto n = static_cast<double>(N);
    const auto sent = [&](Collective collective) {
      return collective_cost(collective, M, {N, std::min<std::int64_t>(N, 1)}, dgx(), Algorithm::ring).sent_bytes;
    };
    // The closed forms take what one worker holds at the start: a shard for the two gathers.
    CHECK(sent(Collective::broadcast) == formulas::collective_bytes_sent(Form::broadcast, M, N));
    CHECK(sent(Collective::reduce) == formulas::collective_bytes_sent(Form::reduce, M, N));
    CHECK(sent(Collective::gather) == formulas::collective_bytes_sent(Form::gather, M / n, N));
    CHECK(sent(Collective::scatter) == formulas::collective_bytes_sent(Form::scatter, M, N));
    CHECK(sent(Collective::reduce_scatter) == formulas::collective_bytes_sent(Form::reduce_scatter, M, N));
    CHECK(sent(Collective::all_gather) == Approx(formulas::collective_bytes_sent(Form::all_gather, M / n, N)));
    CHECK(sent(Collective::all_reduce) == formulas::collective_bytes_sent(Form::all_reduce, M, N));
    CHECK(sent(Collective::all_to_all) == formulas::collective_bytes_sent(Form::all_to_all, M, N));
  }
}

TEST_CASE("a two-level all-reduce is its parts inside and between nodes, and sends no byte more than a ring",
          "[communication]") {
  const Fabric fabric = dgx();
  for (const double bytes : {1e4, 1e6, 1e9}) {
    const RankGroup group{32, 8};
    const CollectiveCost whole = collective_cost(Collective::all_reduce, bytes, group, fabric, Algorithm::hierarchical);
    const double scatter =
        collective_cost(Collective::reduce_scatter, bytes, {8, 8}, fabric, Algorithm::ring).seconds - fabric.overhead;
    const double gather =
        collective_cost(Collective::all_gather, bytes, {8, 8}, fabric, Algorithm::ring).seconds - fabric.overhead;
    const double between = collective_cost(Collective::all_reduce, bytes / 8, {4, 1}, fabric).seconds;
    CHECK(whole.seconds == Approx(scatter + between + gather));
  }
  // Large enough that the part between nodes is a ring too.
  const CollectiveCost large = collective_cost(Collective::all_reduce, 1e11, {32, 8}, fabric, Algorithm::hierarchical);
  CHECK(large.sent_bytes == Approx(ring_sent_bytes(Collective::all_reduce, 1e11, 32)));
  for (const Collective collective : {Collective::all_gather, Collective::reduce_scatter}) {
    const CollectiveCost two = collective_cost(collective, 1e9, {32, 8}, fabric, Algorithm::hierarchical);
    CHECK(two.algorithm == Algorithm::hierarchical);
    CHECK(two.sent_bytes == Approx(ring_sent_bytes(collective, 1e9, 32)));
  }
}

TEST_CASE("a group of one device communicates nothing", "[communication]") {
  for (const Collective collective : all)
    for (const Algorithm algorithm : algorithms) {
      const CollectiveCost cost = collective_cost(collective, 1e9, {1, 8}, with_switch(), algorithm);
      CHECK(cost.seconds == 0);
      CHECK(cost.sent_bytes == 0);
    }
}

TEST_CASE("a collective is never faster with more bytes, slower links or longer latencies", "[communication]") {
  for (const Collective collective : all)
    for (const Algorithm algorithm : algorithms)
      for (const RankGroup group :
           {RankGroup{2, 2}, RankGroup{2, 1}, RankGroup{8, 8}, RankGroup{16, 8}, RankGroup{64, 1}, RankGroup{64, 2}}) {
        CAPTURE(static_cast<int>(collective), static_cast<int>(algorithm), group.ways, group.per_node);
        const auto time = [&](const Fabric& fabric, double bytes) {
          const double seconds = collective_cost(collective, bytes, group, fabric, algorithm).seconds;
          REQUIRE(std::isfinite(seconds));
          return seconds;
        };
        double last = 0;
        for (double bytes = 0; bytes < 1e12; bytes = 2 * bytes + 1) {
          const double now = time(with_switch(), bytes);
          REQUIRE(now >= last);
          last = now;
          for (double Fabric::*rate : {&Fabric::link_rate, &Fabric::nic_rate, &Fabric::switch_rate}) {
            Fabric slower = with_switch();
            slower.*rate /= 2;
            REQUIRE(time(slower, bytes) >= now);
          }
          for (double Fabric::*latency : {&Fabric::link_latency, &Fabric::nic_latency, &Fabric::overhead}) {
            Fabric later = with_switch();
            later.*latency *= 2;
            REQUIRE(time(later, bytes) >= now);
          }
        }
      }
}

// Of the automatic choice for up to eight ranks: an all-gather of 64 in one node knows only the ring of 63 hops, while
// 8 nodes of 8 may take two levels of 7.
TEST_CASE("a group that spans nodes is never faster than one inside a node", "[communication]") {
  for (const Collective collective : all)
    for (const Algorithm algorithm : {Algorithm::automatic, Algorithm::ring, Algorithm::tree})
      for (std::int64_t ways = 2; ways <= (algorithm == Algorithm::automatic ? 8 : 64); ways *= 2)
        for (std::int64_t per_node = 1; per_node < ways; per_node *= 2)
          for (double bytes = 1; bytes < 1e11; bytes *= 8) {
            CAPTURE(static_cast<int>(collective), static_cast<int>(algorithm), ways, per_node, bytes);
            REQUIRE(collective_cost(collective, bytes, {ways, per_node}, dgx(), algorithm).seconds >=
                    collective_cost(collective, bytes, {ways, ways}, dgx(), algorithm).seconds);
          }
}

TEST_CASE("the fastest algorithm is taken: trees for short messages, rings for long ones", "[communication]") {
  for (const Fabric& fabric : {dgx(), with_switch()})
    for (const RankGroup group : {RankGroup{8, 8}, RankGroup{64, 8}, RankGroup{32, 1}})
      for (double bytes = 1; bytes < 1e12; bytes *= 4) {
        double least = std::numeric_limits<double>::infinity();
        for (const Algorithm algorithm : algorithms)
          if (algorithm != Algorithm::automatic)
            least = std::min(least, collective_cost(Collective::all_reduce, bytes, group, fabric, algorithm).seconds);
        REQUIRE(collective_cost(Collective::all_reduce, bytes, group, fabric).seconds == least);
      }
  CHECK(collective_cost(Collective::all_reduce, 1e3, {64, 64}, dgx()).algorithm == Algorithm::tree);
  CHECK(collective_cost(Collective::all_reduce, 1e12, {64, 64}, dgx()).algorithm == Algorithm::ring);
  CHECK(collective_cost(Collective::all_reduce, 1e9, {8, 8}, with_switch()).algorithm == Algorithm::in_switch);
}

TEST_CASE("a reducing switch moves (N+1)/N of the tensor, not 2(N-1)/N", "[communication]") {
  Fabric fabric{};
  fabric.link_rate = fabric.switch_rate = 1;
  const double bytes = 8e15;  // latency is nothing beside it: 25 us in 10^16 s
  const double ring = collective_cost(Collective::all_reduce, bytes, {8, 8}, fabric, Algorithm::ring).seconds;
  const CollectiveCost in_switch = collective_cost(Collective::all_reduce, bytes, {8, 8}, fabric, Algorithm::in_switch);
  CHECK(in_switch.sent_bytes == bytes * 9 / 8);
  CHECK(ring / in_switch.seconds == Approx(14.0 / 9).epsilon(1e-6));
}

TEST_CASE("a ring over nodes runs at the rate of the NICs that its ranks bring", "[communication]") {
  Fabric fabric{};
  fabric.link_rate = 10, fabric.nic_rate = 1;
  const auto seconds = [&](std::int64_t per_node) {
    return collective_cost(Collective::all_reduce, 160, {16, per_node}, fabric, Algorithm::ring).seconds;
  };
  CHECK(seconds(1) == Approx(300));   // 2 x 160 x 15/16 bytes over one NIC
  CHECK(seconds(8) == Approx(37.5));  // over eight
  CHECK(seconds(16) == Approx(30));   // over the link
  fabric.nic_rate = 2;
  CHECK(seconds(8) == Approx(30));  // eight NICs outrun the link
}

TEST_CASE("an all-to-all is bound by the share that leaves the node", "[communication]") {
  Fabric fabric{};
  fabric.link_rate = 10, fabric.nic_rate = 1;
  CHECK(collective_cost(Collective::all_to_all, 160, {16, 8}, fabric).seconds == Approx(80));  // 8 of 16 shares
  CHECK(collective_cost(Collective::all_to_all, 160, {8, 8}, fabric).seconds == Approx(14));   // 7 of 8, at 10
}

TEST_CASE("ranks that are far apart share a node with fewer of their group", "[communication]") {
  const auto per_node = [](std::int64_t ways, std::int64_t stride, std::int64_t devices) {
    return group_along(ways, stride, devices).per_node;
  };
  CHECK(per_node(8, 1, 8) == 8);
  CHECK(per_node(16, 1, 8) == 8);
  CHECK(per_node(4, 2, 8) == 4);
  CHECK(per_node(16, 2, 8) == 4);
  CHECK(per_node(64, 8, 8) == 1);
  CHECK(per_node(4, 16, 8) == 1);
  CHECK(per_node(1, 8, 8) == 1);
  CHECK(per_node(16, 1, 72) == 8);  // the fifth group is cut in two by the rack's border
  // Never more than the worst group of a brute-force count.
  for (const std::int64_t devices : {1, 4, 8, 12, 72})
    for (std::int64_t stride = 1; stride <= 16; ++stride)
      for (std::int64_t ways = 1; ways <= 32; ++ways) {
        std::int64_t worst_nodes = 0;
        for (std::int64_t block = 0; block < devices; ++block)
          for (std::int64_t first = 0; first < stride; ++first) {
            std::vector<std::int64_t> nodes;
            for (std::int64_t i = 0; i < ways; ++i)
              nodes.push_back((block * ways * stride + first + i * stride) / devices);
            nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
            worst_nodes = std::max(worst_nodes, static_cast<std::int64_t>(nodes.size()));
          }
        const RankGroup group = group_along(ways, stride, devices);
        CAPTURE(devices, stride, ways, worst_nodes);
        REQUIRE(ways % group.per_node == 0);
        REQUIRE(ways / group.per_node >= worst_nodes);
      }
}

TEST_CASE("a fabric takes the cluster's figures and else the device's", "[communication]") {
  Device device;
  device.link_bandwidth = BytesPerSecond(300e9);
  device.nic_bandwidth = BytesPerSecond(25e9);
  Cluster cluster;
  cluster.nodes = 2, cluster.devices_per_node = 8;
  cluster.link_efficiency = 0.5, cluster.nic_efficiency = 0.25, cluster.switch_efficiency = 0.5;
  Fabric fabric = fabric_of(device, cluster);
  CHECK(fabric.link_rate == 150e9);
  CHECK(fabric.nic_rate == 6.25e9);
  CHECK(fabric.switch_rate == 75e9);
  CHECK(fabric.link_latency == cluster.link_latency.value());
  CHECK(fabric.nic_latency == cluster.nic_latency.value());
  CHECK(fabric.overhead == cluster.collective_overhead.value());
  cluster.link_bandwidth = BytesPerSecond(100e9);
  cluster.nic_bandwidth = BytesPerSecond(50e9);
  cluster.nics_per_node = 4;
  fabric = fabric_of(device, cluster);
  CHECK(fabric.link_rate == 50e9);
  CHECK(fabric.nic_rate == 6.25e9);  // four ports of 50 GB/s for eight devices, a quarter reached
}
