// Serving of one replica (Sec. 12-13): prompts are read together, then every sequence gets one token at a time. Called
// by `estimate`, by the planner of serving and by whoever needs TTFT, TPOT and what fits.
#pragma once

#include <optional>

#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc {

struct Serving {
  Totals prefill_totals, decode_totals;
  Seconds prefill{0};                 ///< TTFT without queueing and sampling
  Seconds decode_step{0};             ///< TPOT, halfway through the generated tokens
  Seconds served_token{0};            ///< TPOT when a new request takes the place of each that ends
  Seconds request{0};                 ///< prefill and all generated tokens
  TokensPerSecond throughput{0};      ///< of decoding
  Bytes kv_cache_bytes_per_token{0};  ///< per device, (12.1) with B = S = 1: 2 p L max(G/T, 1) H
  Bytes kv_cache{0};                  ///< of all sequences at their full length, per device
  std::int64_t max_batch = 0;         ///< most sequences whose weights, cache and scratch fit; 0: not even one
  double decode_intensity = 0, prefill_intensity = 0;  ///< executed FLOP per byte moved
  Bytes total{0};                                      ///< weights, cache and the larger scratch of the two phases
};

/// All of it; `prefill` and `decode` are filled by the evaluations of the two phases, decode's halfway.
Serving serving_of(const Scenario& scenario, Details& prefill, Details& decode);

/// Positions in the cache halfway through the generated tokens, the new one among them: a step's time is all but linear
/// in the context, so this step stands for the mean.
std::int64_t halfway_context(const Inference& inference);

/// TPOT alone: the decode step halfway.
Seconds decode_step_of(const Scenario& scenario);

/// Keys and values of `tokens` positions of one sequence on one device. A local layer keeps no more than its window;
/// heads are replicated once T > G (E37).
Bytes cache_bytes(const Scenario& scenario, std::int64_t tokens);

/// Weights, cache and scratch of the scenario's batch at its full length, per device.
Bytes serving_bytes(const Scenario& scenario);

/// The most sequences that fit, 0 if not even one does. `scenario.inference.batch` does not matter.
std::int64_t largest_batch(Scenario scenario);

/// What bounds a replica: memory below, the change from memory to arithmetic above.
struct ServingLimits {
  std::optional<std::int64_t> smallest_tensor;      ///< devices whose memory suffices for the batch; none up to 64
  std::optional<std::int64_t> closed_tensor;        ///< (14.1): weights and cache alone, any integer
  std::optional<std::int64_t> compute_bound_batch;  ///< from which on a decode step's products with the blocks' weights
                                                    ///< have the device's ridge intensity; none up to 2^20
  double closed_batch = 0;                          ///< the same of the weights alone: p ridge / 2
};
ServingLimits serving_limits(const Scenario& scenario);

}  // namespace dtcalc
