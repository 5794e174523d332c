// Closed forms of parallelism and inference against brute force, simulation and values typed in from the errata.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/hardware.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/formulas/ring.hpp"
#include "costmodel/formulas/speculative.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;

namespace {

Architecture llama70b() {
  Architecture m;
  m.L = 80, m.D = 8192, m.A = 64, m.G = 8, m.H = 128, m.F = 28672, m.V = 32000, m.glu = true,
  m.act = Nonlinearity::silu;
  m.norm = NormKind::rmsnorm, m.pos = Positions::rope, m.tied = m.qkv_bias = m.o_bias = m.mlp_bias = false;
  return m;
}

/// A 1F1B step played by events: stage s runs min(m, P-1-s) forwards, then alternates; a forward waits for the stage
/// before, a backward for the stage after.
struct Played {
  double time = 0;
  std::vector<std::int64_t> most_live;  // per stage
};

Played play_1f1b(std::int64_t P, std::int64_t m, double t_f, double t_b) {
  const auto stages = static_cast<std::size_t>(P), batches = static_cast<std::size_t>(m);
  std::vector<std::vector<double>> forward(stages, std::vector<double>(batches, -1)), backward = forward;
  std::vector<double> free(stages, 0);
  std::vector<std::size_t> f(stages, 0), b(stages, 0);
  Played played{0, std::vector<std::int64_t>(stages, 0)};
  for (std::size_t done = 0; done < 2 * stages * batches;) {
    for (std::size_t s = 0; s < stages; ++s) {
      const std::size_t warmup = std::min(batches, stages - 1 - s);
      const bool next_is_forward = f[s] < batches && (f[s] < warmup || f[s] - warmup == b[s]);
      if (!next_is_forward && b[s] == batches) continue;
      const double ready = next_is_forward ? (s == 0 ? 0 : forward[s - 1][f[s]])
                                           : (s + 1 == stages ? forward[s][b[s]] : backward[s + 1][b[s]]);
      if (ready < 0) continue;
      double& end = next_is_forward ? forward[s][f[s]++] : backward[s][b[s]++];
      end = free[s] = std::max(free[s], ready) + (next_is_forward ? t_f : t_b);
      played.most_live[s] = std::max(played.most_live[s], static_cast<std::int64_t>(f[s] - b[s]));
      ++done;
    }
  }
  played.time = *std::max_element(free.begin(), free.end());
  return played;
}

}  // namespace

TEST_CASE("ring collectives send what a simulated ring sends", "[formulas]") {
  const std::int64_t N = GENERATE(2, 3, 8);
  const double M = 840 * 3;  // divisible by every N
  // Reduce-scatter: N-1 steps, each worker passes one of N chunks on.
  double reduce_scatter = 0, all_gather = 0;
  for (std::int64_t step = 1; step < N; ++step) {
    reduce_scatter += M / static_cast<double>(N);
    all_gather += M;
  }
  CHECK(collective_bytes_sent(Collective::reduce_scatter, M, N) == Approx(reduce_scatter));
  CHECK(collective_bytes_sent(Collective::all_gather, M, N) == all_gather);
  CHECK(collective_bytes_sent(Collective::all_to_all, M, N) == Approx(reduce_scatter));
  // E48: all-reduce is reduce-scatter of M, then all-gather of M/N.
  CHECK(collective_bytes_sent(Collective::all_reduce, M, N) ==
        Approx(reduce_scatter + collective_bytes_sent(Collective::all_gather, M / static_cast<double>(N), N)));
  CHECK(collective_bytes_sent(Collective::all_reduce, M, 1) == 0);
  CHECK(collective_bytes_sent(Collective::broadcast, M, 1) == 0);
}

TEST_CASE("tensor and sequence parallelism: 8, 8 and 10 units (E32)", "[formulas]") {
  const double B = 1, S = 2048, D = 12288, p = 2, unit = p * B * S * D * 7 / 8;
  const auto units = [&](bool sp, Phase phase, bool regather) {
    return tp_comm_bytes_per_layer(B, S, D, p, 8, sp, phase, regather) / unit;
  };
  CHECK(units(false, Phase::both, true) == 8);
  CHECK(units(true, Phase::both, false) == 8);
  CHECK(units(true, Phase::both, true) == 10);
  CHECK(units(true, Phase::forward, true) == 4);
  CHECK(units(true, Phase::backward, true) == 6);
  CHECK(units(false, Phase::forward, false) + units(false, Phase::backward, false) == 8);
}

TEST_CASE("a sharded head costs two all-reduces of the residual stream and three of a number per token (E33)",
          "[formulas]") {
  CHECK(tp_head_comm_bytes(2, 128, 512, 2, 4, 4) == Approx(2 * 2 * 128 * (2 * 512 * 2 + 3 * 4) * 3.0 / 4));
}

TEST_CASE("(7.9) is 5.1 for GPT-3 on A100 at T=8, and 1 at D=2173 for footnote 51's rates (E34)", "[formulas]") {
  CHECK(eq_7_9_compute_over_comms(12288, 4, 2, 8, 312e12, 300e9) == Approx(5.06).epsilon(1e-3));
  CHECK(eq_7_9_compute_over_comms(2173, 4, 2, 8, 100e12, 100.0 * (1 << 30)) == Approx(1).epsilon(1e-3));
}

TEST_CASE("data-parallel traffic is 2, 2, 2, 3 times Np (N-1)/N", "[formulas]") {
  const auto units = [](std::int64_t stage) { return dp_comm_bytes(1e9, 64, 2, 2, stage) / (2e9 * 63 / 64); };
  CHECK(units(0) == Approx(2));
  CHECK(units(1) == Approx(2));
  CHECK(units(2) == Approx(2));
  CHECK(units(3) == Approx(3));
  // fp32 gradients, bf16 parameters.
  CHECK(dp_comm_bytes(1e9, 64, 4, 2, 3) == Approx((4e9 + 2 * 2e9) * 63 / 64));
}

TEST_CASE("ring work equals a count over the mask", "[formulas]") {
  const RingStrategy strategy = GENERATE(RingStrategy::naive, RingStrategy::striped, RingStrategy::zigzag);
  const std::int64_t R = GENERATE(1, 2, 3, 4), S = 24 * R;
  std::int64_t total = 0;
  std::vector<std::int64_t> all;
  for (std::int64_t r = 0; r < R; ++r) {
    const auto queries = ring_positions(strategy, S, R, r);
    all.insert(all.end(), queries.begin(), queries.end());
    CHECK(std::is_sorted(queries.begin(), queries.end()));
    for (std::int64_t i = 0; i < R; ++i) {
      std::int64_t pairs = 0;
      for (const std::int64_t key : ring_positions(strategy, S, R, (r + i) % R)) {
        for (const std::int64_t query : queries) pairs += key <= query ? 1 : 0;
      }
      CHECK(ring_work(strategy, S, R, i, r) == pairs);
      total += pairs;
    }
  }
  std::sort(all.begin(), all.end());
  std::vector<std::int64_t> every(static_cast<std::size_t>(S));
  std::iota(every.begin(), every.end(), 0);
  CHECK(all == every);
  CHECK(total == S * (S + 1) / 2);
  CHECK(ring_summary(strategy, S, R).total == total);
}

TEST_CASE("ring efficiency: naive .533, striped .998, zig-zag 1 (E81)", "[formulas]") {
  CHECK(ring_summary(RingStrategy::naive, 4096, 8).efficiency == Approx(0.533).epsilon(1e-3));
  CHECK(ring_summary(RingStrategy::striped, 4096, 8).efficiency == Approx(0.998).epsilon(1e-3));
  CHECK(ring_summary(RingStrategy::zigzag, 4096, 8).efficiency == 1);
  CHECK(ring_positions(RingStrategy::zigzag, 8, 4, 1) == std::vector<std::int64_t>{1, 6});  // E27
}

TEST_CASE("ring traffic: keys and values R-1 times, their gradients R times", "[formulas]") {
  const auto sent = [](Phase phase) { return ring_comm_bytes(phase, 2, 4096, 8, 4, 64, 2, 4).value(); };
  const std::int64_t shard = 2 * (4096 / 8) * 4 * 64;  // elements of k or v on a rank
  CHECK(sent(Phase::forward) == 7 * 2 * 2 * shard);
  CHECK(sent(Phase::backward) == sent(Phase::forward) + 8 * 2 * 4 * shard);
  CHECK(sent(Phase::both) == sent(Phase::forward) + sent(Phase::backward));
  // At the least local length one iteration's balanced products take as long as its transfer: 2 n^2 A H / lambda = 2 p
  // n G H / lambda_c.
  const double n = ring_min_local_len(2, 8, 312e12, 25e9, true), A = 64, G = 8, H = 128;
  CHECK(2 * n * n * A * H / 312e12 == Approx(2 * 2 * n * G * H / 25e9));
  CHECK(ring_min_local_len(2, 8, 312e12, 25e9, false) == n / 2);
}

TEST_CASE("pipeline bubble and in-flight micro-batches equal a played 1F1B schedule", "[formulas]") {
  const std::int64_t P = GENERATE(1, 2, 4, 8), m = GENERATE(1, 3, 8, 32);
  const Played played = play_1f1b(P, m, 1, 2);
  CHECK(pipeline_step_time(P, m, 1, Seconds(1), Seconds(2)).value() == Approx(played.time));
  CHECK(pipeline_bubble_fraction(P, m, 1) == Approx((played.time - 3.0 * static_cast<double>(m)) / played.time));
  for (std::int64_t rank = 0; rank < P; ++rank) {
    CHECK(pipeline_in_flight(PipelineSchedule::one_f_one_b, P, m, 1, rank) ==
          played.most_live[static_cast<std::size_t>(rank)]);
    CHECK(pipeline_in_flight(PipelineSchedule::gpipe, P, m, 1, rank) == m);
  }
}

TEST_CASE("interleaving: stage 0 holds L(1 + (P-1)/(Pv)) blocks and the bubble shrinks v-fold", "[formulas]") {
  const std::int64_t P = 4, v = 3, m = 32, L = 96;
  const auto chunks = pipeline_in_flight(PipelineSchedule::interleaved, P, m, v, 0);
  CHECK(static_cast<double>(chunks * L / (P * v)) == L * (1 + 3.0 / 12));
  CHECK(pipeline_in_flight(PipelineSchedule::interleaved, P, 1, v, 0) == 3);
  CHECK(pipeline_bubble_fraction(P, m, v) == Approx(1.0 / 33));
  CHECK(pipeline_p2p_bytes(P, m, v, 1, 2048, 12288, 2, 8) / pipeline_p2p_bytes(P, m, 1, 1, 2048, 12288, 2, 8) ==
        Approx(11.0 / 3));
}

TEST_CASE("key-value cache: Falcon-40B as the notes have it 4.03 GB; no saving beyond T = G (E37, E58)", "[formulas]") {
  CHECK(eq_12_1_kv_cache(1, 2048, 60, 128, 64, 2, 1) == Bytes(4'026'531'840));
  CHECK(eq_12_1_kv_cache(1, 2048, 60, 8, 64, 2, 1) == Bytes(251'658'240));
  CHECK(eq_12_1_kv_cache(1, 2048, 60, 8, 64, 2, 16) == eq_12_1_kv_cache(1, 2048, 60, 8, 64, 2, 8));
  CHECK(eq_12_1_kv_cache(1, 2048, 60, 8, 64, 2, 8) * 8 == eq_12_1_kv_cache(1, 2048, 60, 8, 64, 2, 1));
}

TEST_CASE("(14.1): B=200 needs T=11, B=60 fits T=4, real Falcon-40B T=2 (E13)", "[formulas]") {
  constexpr std::int64_t any = 1'000'000'000;
  CHECK(eq_14_1_min_tp(80, 4, 200, 80, any) == 11);
  CHECK(eq_14_1_min_tp(80, 4, 60, 80, any) == 4);
  CHECK(eq_14_1_min_tp(80, 4.0 / 16, 200, 80, 8) == 2);
  CHECK(eq_14_1_min_tp(10, 1, 1, 80, any) == 1);
  // Eight key-value heads: 100 of cache replicate from T = 8 on, so T = 8 holds 80/8 + 12.5 and 20 needs 80/7.5 -> 11.
  CHECK(eq_14_1_min_tp(80, 1, 100, 20, 8) == 11);
  CHECK_FALSE(eq_14_1_min_tp(80, 1, 100, 12.5, 8));
}

TEST_CASE("decode: intensity (13.2) has the limits of E12 and E38", "[formulas]") {
  CHECK(eq_13_2_decode_intensity(200, 2048, 8192, 4, 1, 2) == Approx(22.3).epsilon(1e-3));
  CHECK(eq_13_2_decode_intensity(1e9, 2048, 8192, 4, 1, 2) == Approx(25).epsilon(1e-3));  // never 153
  CHECK(eq_13_2_decode_intensity(1, 1, 8192, 4, 1, 2) == Approx(1).epsilon(1e-3));
  // Exact counts of a step agree to the order of what is left out (head and embedding: 1 % here).
  const Architecture m = llama70b();
  const double exact = decode_flops(m, 64, 4096).value() / decode_bytes(m, 64, 4096, 2, 1);
  const double E =
      1.5 * 28672.0 / 8192 + 2.25 / 2 - 2;  // (4 + 2E) D^2 as this block has: 2 + 1/4 of D^2 in attention, 3 F D
  CHECK(exact == Approx(eq_13_2_decode_intensity(64, 4096, 8192, E, 1.0 / 8, 2)).epsilon(2e-2));
}

TEST_CASE("latency: parts and their sums", "[formulas]") {
  const Architecture m = llama70b();
  const Accelerator gpu{312e12, 2.039e12, 300e9};
  const Latency prefill = prefill_latency(m, 1, 4096, 2, 8, gpu, 0, 1, true);
  CHECK(prefill.compute > prefill.memory);
  CHECK(prefill.compute.value() ==
        Approx(forward_flops(m, 1, 4096, true, HeadPositions::last).total.value() / (8 * 312e12)).epsilon(1e-12));
  CHECK(prefill.total == prefill.compute + prefill.communication);
  CHECK(prefill_latency(m, 1, 1, 2, 8, gpu, 0, 1, true).total.value() ==
        Approx(137.43e9 / 8 / 2.039e12 + 1.53e-5).epsilon(1e-3));
  // alpha: 2L all-reduces of 2(T-1) messages.
  const Latency slow = prefill_latency(m, 1, 4096, 2, 8, gpu, 1e-5, 1, true);
  CHECK((slow.total - prefill.total).value() == Approx(2 * 80 * 14 * 1e-5));

  // E38: Falcon as the notes have it, B=200, S=2048, T=4: 0.11 to 0.12 s, not 13 ms.
  Architecture falcon;
  falcon.L = 60, falcon.D = 8192, falcon.A = falcon.G = 128, falcon.H = 64, falcon.F = 32768, falcon.V = 65024;
  falcon.pos = Positions::rope, falcon.qkv_bias = falcon.o_bias = falcon.mlp_bias = false;
  const Latency step = decode_latency(falcon, 200, 2048, 2, 4, gpu, 0, Seconds(0));
  CHECK(step.total.value() > 0.11);
  CHECK(step.total.value() < 0.12);
  CHECK(step.compute.value() == Approx(0.0128 * 48.85 / 40 + 4.0 * 200 * 8192 * 60 * 2048 / 4 / 312e12).epsilon(2e-2));
  CHECK((decode_latency(falcon, 200, 2048, 2, 4, gpu, 0, Seconds(1)).total - step.total).value() == Approx(1));
}

TEST_CASE("speculative decoding", "[formulas]") {
  CHECK(spec_optimal_gamma(0.8, 0.05, 200) == 8);
  CHECK(spec_optimal_gamma(0.3, 0.3, 200) == 0);
  CHECK(spec_optimal_gamma(0.8, 0.05, 4) == 4);
  // E[tokens] is 1 + alpha + … + alpha^gamma.
  double sum = 0;
  for (int i = 0; i <= 5; ++i) sum += std::pow(0.8, i);
  CHECK(spec_expected_tokens(0.8, 5) == Approx(sum));
  CHECK(spec_expected_tokens(1, 5) == 6);
  CHECK(spec_speedup(0.8, 0, 0.05) == Approx(1));
  CHECK(spec_ops_factor(0.8, 5, 0.05) == Approx(6.25 / sum));
  // (11.1): accepted draft plus residual is the target distribution.
  const std::vector<double> p{0.5, 0.3, 0.15, 0.05}, q{0.1, 0.4, 0.1, 0.4};
  const double beta = spec_acceptance(p, q);
  const std::vector<double> residual = spec_residual(p, q);
  CHECK(std::accumulate(residual.begin(), residual.end(), 0.0) == Approx(1));
  for (std::size_t x = 0; x < p.size(); ++x) CHECK(std::min(p[x], q[x]) + (1 - beta) * residual[x] == Approx(p[x]));
  CHECK(spec_residual(p, p) == std::vector<double>(4, 0.0));
}

TEST_CASE("arithmetic intensities (App. D)", "[formulas]") {
  CHECK(math_intensity(312e12, 2.039e12) == Approx(153).epsilon(1e-3));
  CHECK(peak_flop_rate(108, 2048, 1.41e9) == Approx(312e12).epsilon(1e-3));                   // E55
  CHECK(eq_D_1_intensity(4, 512, 8192, 2) == Approx(matmul_intensity(2048, 8192, 8192, 2)));  // E11
  CHECK(eq_D_2_decode_mlp(16, 8192, 2) == Approx(eq_D_1_intensity(16, 1, 8192, 2)));
  CHECK(elementwise_intensity(10, 2) == 2.5);
  CHECK(training_intensity(4, 512, 8192) == Approx(2048.0 * 8192 / 10240));
  // E24: with S >> D, MQA raises the limit for large batches.
  const double mha = eq_D_3_decode_attention(1e4, 65536, 8192, 64, 64, 2);
  const double mqa = eq_D_3_decode_attention(1e4, 65536, 8192, 64, 1, 2);
  CHECK(mqa / mha > 20);
  CHECK(mha == Approx((1 + 2 * 8192.0 / 65536) * 1.0).epsilon(1e-1));
}
