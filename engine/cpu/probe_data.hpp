// Operands for timed kernels. In a training step a kernel finds its operands where the step left them: mostly in
// memory, seldom in the caches. So every call that `dtcalc measure` times gets operands that no recent call has
// touched.
#pragma once

#include <cstdint>
#include <vector>

namespace dtcalc::cpu {

/// Slices of large arrays that are filled once and handed out in turn. What a kernel only reads comes from `input`,
/// what it also writes from `output`, so that the inputs stay the small numbers they are. Slices are aligned to 64
/// bytes and stay valid as long as this object; two of them overlap only after a whole round.
class ProbeData {
 public:
  /// `bytes` for each of the two arrays: more than the caches hold, and more than one call takes.
  explicit ProbeData(std::int64_t bytes)
      : inputs_(static_cast<std::size_t>(bytes) / sizeof(float)), outputs_(inputs_.size()) {
    std::uint32_t state = 12345;
    for (std::vector<float>* array : {&inputs_, &outputs_})
      for (float& x : *array) {
        state = state * 1664525u + 1013904223u;
        x = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
      }
  }

  /// Elements in [-0.5, 0.5).
  float* input(std::int64_t elements) { return slice(inputs_, next_input_, elements); }
  float* output(std::int64_t elements) { return slice(outputs_, next_output_, elements); }
  /// Indices in [0, below); `below` at most 2^24.
  const std::int32_t* indices(std::int64_t count, std::int64_t below) {
    if (indices_.size() < static_cast<std::size_t>(count) || below != below_) {
      indices_.assign(static_cast<std::size_t>(count), 0);
      below_ = below;
      std::uint32_t state = 99;
      for (std::int32_t& i : indices_) {
        state = state * 1664525u + 1013904223u;
        i = static_cast<std::int32_t>((state >> 8) % static_cast<std::uint32_t>(below));
      }
    }
    return indices_.data();
  }

 private:
  static float* slice(std::vector<float>& array, std::size_t& next, std::int64_t elements) {
    constexpr std::size_t kLine = 64 / sizeof(float);
    const std::size_t count = (static_cast<std::size_t>(elements) + kLine - 1) / kLine * kLine;
    const std::size_t head = (64 - reinterpret_cast<std::uintptr_t>(array.data()) % 64) % 64 / sizeof(float);
    if (next < head || next + count > array.size()) next = head;
    float* first = array.data() + next;
    next += count;
    return first;
  }

  std::vector<float> inputs_, outputs_;
  std::size_t next_input_ = 0, next_output_ = 0;
  std::vector<std::int32_t> indices_;
  std::int64_t below_ = 0;
};

}  // namespace dtcalc::cpu
