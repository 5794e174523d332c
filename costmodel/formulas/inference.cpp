// Inference; see inference.hpp.
#include "costmodel/formulas/inference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/exact.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/parameters.hpp"

namespace dtcalc::formulas {
namespace {

double real(std::int64_t value) { return static_cast<double>(value); }

/// Weights that every decode step streams, per worker.
double weight_bytes(const Architecture& m, std::int64_t p, std::int64_t T) {
  return real(p) * real(decoded_parameters(m).value()) / real(T);
}

double cache_bytes(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T) {
  return real(eq_12_1_kv_cache(B, S, m.L, m.G, m.H, p, T).value());
}

Wide decode_linear_products(const Architecture& m, std::int64_t B) {
  return 2 * Wide{B} * (Wide{m.L} * block_matrices(m).value() + head_matrix(m).value());
}

Wide decode_attention_products(const Architecture& m, std::int64_t B, std::int64_t ctx) {
  return 4 * Wide{B} * m.A * m.H * m.L * ctx;
}

/// 2L ring all-reduces of p B S D bytes; alpha per message, 2(T-1) messages each.
Seconds all_reduces(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T, double link,
                    double alpha) {
  const double messages = 2 * real(m.L) * 2 * real(T - 1);
  return Seconds(messages * alpha + tp_decode_comm_bytes(m, B, S, p, T) / link);
}

Seconds larger(Seconds a, Seconds b) { return a < b ? b : a; }

}  // namespace

Bytes eq_12_1_kv_cache(std::int64_t B, std::int64_t S, std::int64_t L, std::int64_t G, std::int64_t H, std::int64_t p,
                       std::int64_t T) {
  return bytes(shard(2 * Wide{p} * B * L * S * H * std::max(G, T), T));
}

double eq_13_1_inference_memory(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T) {
  return real(p) * real(param_count(m).total.value()) / real(T) + cache_bytes(m, B, S, p, T);
}

double eq_13_2_decode_intensity(double B, double S, double D, double E, double kv_frac, double p) {
  return 2 * B * ((4 + 2 * E) * D + 2 * S) / (p * ((4 + 2 * E) * D + 2 * B * S * kv_frac));
}

std::optional<std::int64_t> eq_14_1_min_tp(double weight_bytes, double cache_bytes_per_seq, double B, double capacity,
                                           std::int64_t kv_shards_max) {
  const double cache = B * cache_bytes_per_seq;
  const double sharded = std::max(1.0, std::ceil((weight_bytes + cache) / capacity));
  if (sharded <= real(kv_shards_max)) return static_cast<std::int64_t>(sharded);
  const double left = capacity - cache / real(kv_shards_max);
  if (left <= 0) return std::nullopt;
  return static_cast<std::int64_t>(std::ceil(weight_bytes / left));
}

Flop decode_flops(const Architecture& m, std::int64_t B, std::int64_t ctx) {
  return flop(decode_linear_products(m, B) + decode_attention_products(m, B, ctx));
}

double decode_bytes(const Architecture& m, std::int64_t B, std::int64_t ctx, std::int64_t p, std::int64_t T) {
  return weight_bytes(m, p, T) + cache_bytes(m, B, ctx + 1, p, T);
}

double tp_decode_comm_bytes(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T) {
  return 2 * real(m.L) * collective_bytes_sent(Collective::all_reduce, real(p * B) * real(S * m.D), T);
}

double compute_bound_batch_of_weights(double p, double ridge) { return p * ridge / 2; }

double compute_bound_batch(const Architecture& m, double p, double p_act, double T, double ridge) {
  const double D = real(m.D), q = real(m.A * m.H) / T, kv = real(m.G * m.H) / T, F = real(m.F) / T;
  const double into_mlp = m.glu ? 2 : 1;
  const double weights = D * (2 * q + 2 * kv + (into_mlp + 1) * F);
  const double ends = (D + q) * 2 + (D + kv) * 2 + (D + F) * (into_mlp + 1);
  const double left = 2 * weights - ridge * p_act * ends;
  return left > 0 ? ridge * p * weights / left : std::numeric_limits<double>::infinity();
}

Bytes beam_cache(std::int64_t B, std::int64_t b, std::int64_t prompt, std::int64_t fresh, bool shared, std::int64_t L,
                 std::int64_t G, std::int64_t H, std::int64_t p, std::int64_t T) {
  return eq_12_1_kv_cache(B, (shared ? prompt : b * prompt) + b * fresh, L, G, H, p, T);
}

Latency prefill_latency(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T,
                        const Accelerator& gpu, double alpha, double mfu, bool causal) {
  const double products = forward_flops(m, B, S, causal, HeadPositions::last).total.value();
  Latency latency;
  latency.compute = Seconds(products / (real(T) * gpu.flops * mfu));
  latency.memory = Seconds(weight_bytes(m, p, T) / gpu.bw);
  latency.communication = all_reduces(m, B, S, p, T, gpu.link, alpha);
  latency.total = larger(latency.compute, latency.memory) + latency.communication;
  return latency;
}

Latency decode_latency(const Architecture& m, std::int64_t B, std::int64_t ctx, std::int64_t p, std::int64_t T,
                       const Accelerator& gpu, double alpha, Seconds overhead) {
  const double rate = real(T) * gpu.flops;
  const Seconds linear(static_cast<double>(decode_linear_products(m, B)) / rate);
  const Seconds attention(static_cast<double>(decode_attention_products(m, B, ctx)) / rate);
  const Seconds weights(weight_bytes(m, p, T) / gpu.bw);
  const Seconds cache(cache_bytes(m, B, ctx + 1, p, T) / gpu.bw);
  Latency latency;
  latency.compute = linear + attention;
  latency.memory = weights + cache;
  latency.communication = all_reduces(m, B, 1, p, T, gpu.link, alpha);
  latency.total = larger(linear, weights) + larger(attention, cache) + latency.communication + overhead;
  return latency;
}

}  // namespace dtcalc::formulas
