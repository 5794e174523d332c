// The numbers of one evaluation: the value of every symbol, the width of every class of tensor, the rates of the
// device.
#pragma once

#include <array>
#include <cstdint>

#include "costmodel/evaluate/attention_passes.hpp"
#include "costmodel/evaluate/device_rates.hpp"
#include "costmodel/evaluate/layout.hpp"
#include "costmodel/lower/structure.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Most extents, segments, buffers that a structure may have; evaluation works on the stack.
inline constexpr int kMaxExtents = 192, kMaxSegments = kMaxBlockKinds + 2, kMaxBuffers = 160;

/// Bytes of training state per parameter, times two (E60): what a precision set keeps.
struct StateWidths {
  std::int8_t weight = 0, gradient = 0, master = 0, moment = 0;  ///< half-bytes; master 0: no separate copy
  std::int8_t moments = 0;                                       ///< 2 Adam, 1 momentum, 0 SGD
  std::int8_t gathered = 0;                                      ///< half-bytes of a weight that ZeRO gathers
  bool scaled = false;                                           ///< moments in blocks with a scale each
};

struct Sizes {
  std::array<std::int64_t, kSymbols> symbol{};        ///< on one rank
  std::array<std::int64_t, kSymbols> whole_symbol{};  ///< of the whole model and whole sequences
  bool sharded = false;                               ///< the two differ
  Layout layout;
  std::array<std::int8_t, kWidths> half_bytes{};  ///< of one element, times two
  StateWidths state;
  std::array<std::int64_t, kMaxBlockKinds> layers{};  ///< of each block kind, on all stages
  std::int64_t micro_batches = 1;                     ///< of one replica in a step
  std::int64_t alignment = 1;
  std::int64_t guard = 0;  ///< bytes behind every buffer that nobody may write (debug builds of the engine)
  Bytes workspace{0};      ///< scratch that kernels of this stack ask for beside their operands
  Dtype product_dtype = Dtype::fp32;
  double seconds_per_flop = 0;  ///< of matrix products at the device's peak
  DeviceRates rates;
  std::int64_t flash_query_tile = 64;
  std::array<std::array<KernelBalance, 2>, 2> balance{};  ///< of fused attention: [local layers][backward]
  bool bias_is_a_loop = false;  ///< measured products do not add the bias: true of the CPU's, where it is another pass
  const MeasuredRates* calibrated = nullptr;  ///< of the device, when there are any; must outlive the evaluation
};

/// Sizes of a scenario. An evaluation or prefill has the prompt's tokens as `query`; a decode step one query over
/// `context` keys, the new one among them.
Sizes sizes_of(const Scenario& scenario, Work work, std::int64_t context = 0);
inline Sizes sizes_of(const Scenario& scenario, bool training) {
  return sizes_of(scenario, training ? Work::training : Work::evaluation);
}

/// Puts the scenario's stages, schedule, data ranks and ZeRO stage into sizes that sizes_of made for the same
/// micro-batch, tensor and context ranks.
void place_stages(const Scenario& scenario, Sizes& sizes);

/// State widths of a precision set and optimizer.
StateWidths state_widths(Precision precision, Optimizer optimizer);

/// Query-key pairs that the slowest of several ranks of a context ring computes, for one head: the ring's iterations
/// wait for each other (7.4.1 with E10, E47, E81). Equal to those without a ring over `ranks` but for whole tiles and,
/// with naive sharding, idle ranks.
std::int64_t ring_pairs(std::int64_t sequence, std::int64_t ranks, ContextSharding sharding, const AttentionPass& pass);

/// values[e] = number of elements (or FLOPs) of extent e, on one rank or, with `whole_symbol`, of everything.
void evaluate_extents(const Structure& structure, const std::array<std::int64_t, kSymbols>& symbol,
                      std::array<std::int64_t, kMaxExtents>& values);

/// Bytes of `elements` of a packed matrix. 4-bit formats scale blocks of 64 elements by one byte, and 256 of these by 4
/// bytes (NF4 with double quantization: Dettmers et al. 2023, QLoRA, Sec. 3); 8-bit ones scale rows, which is nothing.
inline std::int64_t packed_bytes(std::int64_t elements, int half_bytes) {
  const std::int64_t plain = (elements * half_bytes + 1) / 2;
  return half_bytes > 1 ? plain : plain + (elements + 63) / 64 + 4 * ((elements + 16383) / 16384);
}

/// 8-bit optimizers scale blocks of 256 elements by their largest magnitude, in 4 bytes, and leave tensors of fewer
/// than 4096 elements in 32 bits (Dettmers et al. 2022, arXiv 2110.02861, Sec. 2; blocks and threshold are the
/// documented defaults of bitsandbytes, `block_wise` and `min_8bit_size`).
inline constexpr std::int64_t kMomentBlock = 256, kSmallestScaledTensor = 4096;

/// Bytes of `elements` of a width class.
inline std::int64_t bytes_of(std::int64_t elements, int half_bytes) { return (elements * half_bytes + 1) >> 1; }

/// Bytes of all moments of `elements`, of which `small` lie in tensors that stay in 32 bits.
inline std::int64_t moment_bytes(const StateWidths& state, std::int64_t elements, std::int64_t small) {
  if (!state.scaled) return state.moments * bytes_of(elements, state.moment);
  const std::int64_t scaled = elements - small, blocks = (scaled + kMomentBlock - 1) / kMomentBlock;
  return state.moments * (bytes_of(scaled, state.moment) + 4 * blocks + 4 * small);
}

}  // namespace dtcalc
