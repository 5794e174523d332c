#include "engine/cpu/philox.hpp"

#include <algorithm>
#include <cmath>

namespace dtcalc::cpu {
namespace {

// Multipliers and Weyl increments of the paper, section 5.2.
constexpr std::uint32_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
constexpr std::uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
constexpr int rounds = 10;

/// `lanes` independent blocks at once, word by word, so that the rounds vectorise.
template <int lanes>
void rounds_of(std::uint32_t (&c0)[lanes], std::uint32_t (&c1)[lanes], std::uint32_t (&c2)[lanes],
               std::uint32_t (&c3)[lanes], std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < rounds; ++round) {
#pragma omp simd
    for (int lane = 0; lane < lanes; ++lane) {
      const std::uint64_t product0 = std::uint64_t{multiplier0} * c0[lane];
      const std::uint64_t product1 = std::uint64_t{multiplier1} * c2[lane];
      c0[lane] = static_cast<std::uint32_t>(product1 >> 32) ^ c1[lane] ^ key0;
      c1[lane] = static_cast<std::uint32_t>(product1);
      c2[lane] = static_cast<std::uint32_t>(product0 >> 32) ^ c3[lane] ^ key1;
      c3[lane] = static_cast<std::uint32_t>(product0);
    }
    key0 += weyl0;
    key1 += weyl1;
  }
}

}  // namespace

PhiloxBlock philox4x32_10(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  std::uint32_t c0[1] = {counter[0]}, c1[1] = {counter[1]}, c2[1] = {counter[2]}, c3[1] = {counter[3]};
  rounds_of<1>(c0, c1, c2, c3, key[0], key[1]);
  return {c0[0], c1[0], c2[0], c3[0]};
}

DropoutStream::DropoutStream(const DropoutKey& name) {
  // The name is hashed by Philox itself: 64 bits become the stream's key, 64 the upper half of its counter.
  const PhiloxBlock hash =
      philox4x32_10({name.step, name.micro_batch, name.layer, name.op},
                    {static_cast<std::uint32_t>(name.seed), static_cast<std::uint32_t>(name.seed >> 32)});
  key = {hash[0], hash[1]};
  counter_high = {hash[2], hash[3]};
}

std::uint32_t dropout_threshold(double p) {
  return static_cast<std::uint32_t>(std::min<std::int64_t>(std::llround(std::ldexp(p, 32)), 0xFFFFFFFF));
}

template <class T>
void fill_dropout_mask(const DropoutStream& stream, double p, std::int64_t first, std::int64_t count, T* mask) {
  constexpr int lanes = 32;
  const std::uint32_t threshold = dropout_threshold(p);
  const T keep = static_cast<T>(1 / (1 - p));
  const std::int64_t end = first + count;
  for (std::int64_t block = first / 4; 4 * block < end; block += lanes) {
    std::uint32_t c0[lanes], c1[lanes], c2[lanes], c3[lanes];
    for (int lane = 0; lane < lanes; ++lane) {
      const std::uint64_t index = static_cast<std::uint64_t>(block) + static_cast<std::uint64_t>(lane);
      c0[lane] = static_cast<std::uint32_t>(index);
      c1[lane] = static_cast<std::uint32_t>(index >> 32);
      c2[lane] = stream.counter_high[0];
      c3[lane] = stream.counter_high[1];
    }
    rounds_of<lanes>(c0, c1, c2, c3, stream.key[0], stream.key[1]);
    T values[4 * lanes];
    for (int lane = 0; lane < lanes; ++lane) {
      values[4 * lane] = c0[lane] < threshold ? T(0) : keep;
      values[4 * lane + 1] = c1[lane] < threshold ? T(0) : keep;
      values[4 * lane + 2] = c2[lane] < threshold ? T(0) : keep;
      values[4 * lane + 3] = c3[lane] < threshold ? T(0) : keep;
    }
    const std::int64_t from = std::max(first, 4 * block);
    const std::int64_t to = std::min(end, 4 * (block + lanes));
    std::copy(values + (from - 4 * block), values + (to - 4 * block), mask + (from - first));
  }
}

template <class T>
void apply_dropout(const DropoutStream& stream, double p, std::int64_t first, std::int64_t count, T* x) {
  constexpr std::int64_t block = 512;
  T mask[block];
  for (std::int64_t i0 = 0; i0 < count; i0 += block) {
    const std::int64_t size = std::min(block, count - i0);
    fill_dropout_mask(stream, p, first + i0, size, mask);
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) x[i0 + i] *= mask[i];
  }
}

template void fill_dropout_mask<float>(const DropoutStream&, double, std::int64_t, std::int64_t, float*);
template void fill_dropout_mask<double>(const DropoutStream&, double, std::int64_t, std::int64_t, double*);
template void apply_dropout<float>(const DropoutStream&, double, std::int64_t, std::int64_t, float*);
template void apply_dropout<double>(const DropoutStream&, double, std::int64_t, std::int64_t, double*);

}  // namespace dtcalc::cpu
