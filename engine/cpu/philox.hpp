// Random bits by counter: Philox4x32-10 of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). A dropout mask is a function of (key, element index) alone, so backward and recompute regenerate it, and
// every split of the work over threads or ranks agrees. Called by the kernels with dropout and by whoever initialises
// weights.
#pragma once

#include <array>
#include <cstdint>

namespace dtcalc::cpu {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// The bijection itself: 128 random bits of (counter, key).
PhiloxBlock philox4x32_10(PhiloxBlock counter, std::array<std::uint32_t, 2> key);

/// Names one dropout mask of a run. Masks of different keys are independent.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t micro_batch = 0;
  std::uint32_t layer = 0;
  std::uint32_t op = 0;  ///< which dropout within the layer, as the caller numbers them
};

/// The stream of 32-bit numbers that belongs to a DropoutKey: element i is word i % 4 of block i / 4.
struct DropoutStream {
  std::array<std::uint32_t, 2> key;
  std::array<std::uint32_t, 2> counter_high;

  explicit DropoutStream(const DropoutKey& key);
};

/// An element is dropped when its 32-bit number is below this; p is the probability to drop, in [0, 1).
std::uint32_t dropout_threshold(double p);

/// mask[i] = 0 where element first + i is dropped, else 1 / (1 - p).
template <class T>
void fill_dropout_mask(const DropoutStream& stream, double p, std::int64_t first, std::int64_t count, T* mask);

/// x[i] *= the mask's element first + i.
template <class T>
void apply_dropout(const DropoutStream& stream, double p, std::int64_t first, std::int64_t count, T* x);

}  // namespace dtcalc::cpu
