// What a pipeline stage holds and updates: its numbers of parameters, what ZeRO leaves of them to a device, and the
// optimizer's work on that. Called by evaluate.cpp; nothing here allocates.
#pragma once

#include <string_view>

#include "costmodel/evaluate/segments.hpp"

namespace dtcalc {

class StageState {
 public:
  StageState(const Structure& structure, const Sizes& sizes, const Segments& segments)
      : structure_(structure), sizes_(sizes), layout_(sizes.layout), segments_(segments) {}

  /// How often segment i (prologue, kinds of blocks, epilogue) runs for one micro-batch on a stage.
  std::int64_t repeat(const StageShape& shape, int i) const {
    const int kinds = static_cast<int>(structure_.blocks.size());
    return i == 0 ? shape.prologue : i <= kinds ? shape.layers[i - 1] : shape.epilogue;
  }

  // Of the stage's rank, before ZeRO. A tied head has a copy of its own where the pipeline separates it.
  std::int64_t parameters(const StageShape& shape) const;
  std::int64_t trained(const StageShape& shape) const;
  std::int64_t packed(const StageShape& shape) const;
  std::int64_t small(const StageShape& shape) const;  ///< in tensors that an 8-bit optimizer keeps wide

  /// A device's share of n from `zero_stage` of ZeRO on.
  std::int64_t shard(std::int64_t n, int zero_stage) const;
  /// Bytes of n weights, `packed` of them packed; `width` in half bytes.
  std::int64_t weight_bytes(std::int64_t n, std::int64_t packed, int width) const;

  struct OptimizerWork {
    double read, written;  ///< bytes
  };
  OptimizerWork optimizer_bytes(const StageShape& shape) const;
  double clip_bytes(std::int64_t trained) const;  ///< of the gradients, read once for their norm
  /// s of the update with clipping.
  double optimizer_seconds(const StageShape& shape) const;
  /// s of one loop: measured where the profile has it, else its bytes at the memory's rate.
  double loop_seconds(std::string_view law, std::int64_t elements, double read, double written) const;
  std::string_view optimizer_law() const;

 private:
  const Structure& structure_;
  const Sizes& sizes_;
  const Layout& layout_;
  const Segments& segments_;
};

}  // namespace dtcalc
