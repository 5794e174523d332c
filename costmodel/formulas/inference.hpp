// Closed forms of Sec. 12-14: key-value cache, inference memory, FLOPs and bytes of a decode step, intensity, latency.
// Used by the registry, `estimate` on inference and the tests. Per tensor-parallel worker; doubles where N/T need not
// be whole.
#pragma once

#include <cstdint>
#include <optional>

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// (12.1) with E37: 2pBLSH max(G/T, 1): G key-value heads, replicated once T > G. Exact; rounded up when neither
/// divides the other.
Bytes eq_12_1_kv_cache(std::int64_t B, std::int64_t S, std::int64_t L, std::int64_t G, std::int64_t H, std::int64_t p,
                       std::int64_t T);

/// (13.1) with E35: pN/T + (12.1), both per worker, N exact.
double eq_13_1_inference_memory(const Architecture& model, std::int64_t B, std::int64_t S, std::int64_t p,
                                std::int64_t T);

/// (13.2) with E12: FLOP per byte of a decode step, 2B((4+2E)D + 2S) / (p((4+2E)D + 2BSg)), g = G/A. Leading order: no
/// embedding, no activations; L and T cancel.
double eq_13_2_decode_intensity(double B, double S, double D, double E, double kv_frac, double p);

/// (14.1) with E13: least T for which weight_bytes/T + B cache_bytes_per_seq/min(T, kv_shards_max) <= capacity, any
/// unit; nothing if the replicated cache alone is too large.
std::optional<std::int64_t> eq_14_1_min_tp(double weight_bytes, double cache_bytes_per_seq, double B, double capacity,
                                           std::int64_t kv_shards_max);

/// Products of one decode step over all workers: 2B per weight of the blocks' and head's matrices, and 4BAHL ctx for
/// attention over ctx positions, the new one among them. Exact.
Flop decode_flops(const Architecture& model, std::int64_t B, std::int64_t ctx);

/// Bytes that a decode step moves per worker: weights (decoded_parameters) p N_w/T, ctx + 1 positions of cache (ctx
/// read, one written).
double decode_bytes(const Architecture& model, std::int64_t B, std::int64_t ctx, std::int64_t p, std::int64_t T);

/// Sec. 13 with E36: two all-reduces per block, 4(T-1)/T pBDLS sent per worker (S = 1 in decode).
double tp_decode_comm_bytes(const Architecture& model, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T);

/// Text after (13.2): the batch at which products with weights of p bytes have the machine's balance (FLOP per byte),
/// activations left out: 2B/p = ridge.
double compute_bound_batch_of_weights(double p, double ridge);

/// The same with activations of p_act bytes read and written by each product of a block, per worker: B at which
/// 2B sum(kn) = ridge (p sum(kn) + p_act B sum(k + n)) over the block's (k, n) matrices, columns of the first and rows
/// of the last of each pair cut T ways. Infinite when activations alone keep the intensity below. G divides into T.
double compute_bound_batch(const Architecture& model, double p, double p_act, double T, double ridge);

/// Cache of beam search per worker at full length: B sequences of b beams; the prompt is kept once per sequence
/// (`shared`) or once per beam. (12.1) at the positions that are kept.
Bytes beam_cache(std::int64_t B, std::int64_t b, std::int64_t prompt, std::int64_t fresh, bool shared, std::int64_t L,
                 std::int64_t G, std::int64_t H, std::int64_t p, std::int64_t T);

struct Accelerator {
  double flops;  ///< FLOP/s
  double bw;     ///< bytes/s of device memory
  double link;   ///< bytes/s one way between workers
};

struct Latency {
  Seconds compute;        ///< of the products alone
  Seconds memory;         ///< of reading weights (and cache)
  Seconds communication;  ///< with alpha per message
  Seconds total;          ///< not the sum: the larger of compute and memory per kernel class, then communication
};

/// Section 4 of the errata, "Latency": time to first token, max(prefill products/(T flops mfu), p N_w/(T bw)) + 2L
/// all-reduces of pBSD, each 2(T-1)(alpha + pBSD/(T link)). The head multiplies the last position only.
Latency prefill_latency(const Architecture& model, std::int64_t B, std::int64_t S, std::int64_t p, std::int64_t T,
                        const Accelerator& gpu, double alpha, double mfu, bool causal);

/// Likewise one decode step: the roofline of the Linears plus that of attention over the cache, plus 2L all-reduces of
/// pBD and `overhead`.
Latency decode_latency(const Architecture& model, std::int64_t B, std::int64_t ctx, std::int64_t p, std::int64_t T,
                       const Accelerator& gpu, double alpha, Seconds overhead);

}  // namespace dtcalc::formulas
