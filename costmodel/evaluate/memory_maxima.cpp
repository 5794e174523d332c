#include "costmodel/evaluate/memory_maxima.hpp"

#include <algorithm>

namespace dtcalc {
namespace {

/// What a kernel of a program has alive in the scratch region.
struct Alive {
  std::int64_t activations = 0, logits = 0;
};

Alive alive_at(const Program& program, int kernel, const std::int64_t* values, const Sizes& sizes) {
  Alive alive;
  for (const Buffer& b : program.scratch)
    if (b.first <= kernel && kernel <= b.last)
      (b.width == Width::logits || b.copies_logits ? alive.logits : alive.activations) +=
          bytes_of(values[b.extent], sizes.half_bytes[static_cast<int>(b.width)]);
  return alive;
}

}  // namespace

MemoryMaxima memory_maxima(const Scenario& scenario, Work work, const Totals& totals) {
  const Structure& structure = cached_structure(choices_of(scenario, work));
  const Sizes sizes = sizes_of(scenario, work);
  std::array<std::int64_t, kMaxExtents> values;
  evaluate_extents(structure, sizes.symbol, values);
  const StageShape shape = stage_shape(sizes.layout, totals.peak.stage);
  const int kinds = static_cast<int>(structure.blocks.size());
  Alive most, at_peak;
  MemoryMaxima maxima;
  for (int i = 0; i < kinds + 2; ++i) {
    const bool on_stage = i == 0 ? shape.prologue : i > kinds ? shape.epilogue : shape.layers[i - 1] > 0;
    if (!on_stage) continue;
    const LoweredSegment& segment = segment_of(structure, i);
    for (const bool backward : {false, true}) {
      const Program& program = backward ? segment.backward : segment.forward;
      const bool peaks = totals.peak.segment == i && totals.peak.backward == backward;
      std::int64_t sum = 0;
      for (int k = 0; k < static_cast<int>(program.kernels.size()); ++k) {
        const Alive alive = alive_at(program, k, values.data(), sizes);
        most.activations = std::max(most.activations, alive.activations);
        most.logits = std::max(most.logits, alive.logits);
        if (!peaks || alive.activations + alive.logits <= sum) continue;
        sum = alive.activations + alive.logits;
        at_peak = alive;
        maxima.kernel = program.groups[program.kernels[k].group].name;
      }
    }
  }
  maxima.parameters = totals.parameters_bytes;
  maxima.gradients = totals.gradients_bytes;
  maxima.optimizer = totals.optimizer_bytes;
  // What is saved and handed over lies there all the time; only the scratch differs between instants.
  maxima.activations = totals.activations_bytes + Bytes(most.activations - at_peak.activations);
  maxima.logits = Bytes(most.logits);
  return maxima;
}

}  // namespace dtcalc
