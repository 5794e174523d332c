#include "costmodel/evaluate/memory.hpp"

#include <algorithm>

namespace dtcalc {

std::int64_t place(std::span<const Buffer> buffers, const std::int64_t* values, const Sizes& sizes,
                   std::span<std::int64_t> offsets) {
  const int count = static_cast<int>(buffers.size());
  std::array<std::int64_t, kMaxBuffers> exact, bytes;
  std::array<std::int16_t, kMaxBuffers> order;  // by size, largest first; equal sizes in program order
  for (int i = 0; i < count; ++i) {
    exact[i] = bytes_of(values[buffers[i].extent], sizes.half_bytes[static_cast<int>(buffers[i].width)]);
    bytes[i] = align_up(exact[i] + sizes.guard, sizes.alignment);
    int j = i;
    for (; j > 0 && bytes[order[j - 1]] < bytes[i]; --j) order[j] = order[j - 1];
    order[j] = static_cast<std::int16_t>(i);
  }
  std::array<std::int16_t, kMaxBuffers> placed;  // by offset
  std::int64_t peak = 0;
  for (int o = 0; o < count; ++o) {
    const int i = order[o];
    std::int64_t offset = 0;
    for (int p = 0; p < o; ++p) {
      const int other = placed[p];
      const bool together = buffers[i].first <= buffers[other].last && buffers[other].first <= buffers[i].last;
      if (!together || offsets[other] + bytes[other] <= offset) continue;
      if (offsets[other] >= offset + bytes[i]) break;  // all later ones start higher still
      offset = offsets[other] + bytes[other];
    }
    offsets[i] = offset;
    int p = o;
    for (; p > 0 && offsets[placed[p - 1]] > offset; --p) placed[p] = placed[p - 1];
    placed[p] = static_cast<std::int16_t>(i);
    peak = std::max(peak, offset + exact[i] + sizes.guard);
  }
  return peak;
}

namespace {

void plan_segment(const LoweredSegment& s, const Sizes& sizes, const std::int64_t* values, SegmentPlan& plan) {
  // Parameters, gradients and moments share one element numbering, so its unit must align the narrowest of them.
  const std::int64_t unit = std::max<std::int64_t>(1, sizes.alignment / 2);
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < s.parameters.size(); ++i) {
    plan.parameter[i] = elements;
    if (!s.parameters[i].tied) elements = align_up(elements + values[s.parameters[i].extent] + sizes.guard, unit);
  }
  plan.parameter_stride = elements;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < s.saved.size(); ++i) {
    plan.saved[i] = bytes;
    bytes = align_up(
        bytes + bytes_of(values[s.saved[i].extent], sizes.half_bytes[static_cast<int>(s.saved[i].width)]) + sizes.guard,
        sizes.alignment);
  }
  plan.slot_bytes = bytes;
  plan.forward_bytes = place(s.forward.scratch, values, sizes, plan.forward);
  plan.backward_bytes = place(s.backward.scratch, values, sizes, plan.backward);
}

}  // namespace

void plan_memory(const Structure& structure, const Sizes& sizes, const std::int64_t* values, MemoryPlan& plan) {
  const int kinds = static_cast<int>(structure.blocks.size());
  plan_segment(structure.prologue, sizes, values, plan.segment[0]);
  for (int k = 0; k < kinds; ++k) plan_segment(structure.blocks[k], sizes, values, plan.segment[1 + k]);
  plan_segment(structure.epilogue, sizes, values, plan.segment[1 + kinds]);

  std::int64_t elements = 0, slots = 0, scratch = 0;
  for (int i = 0; i < kinds + 2; ++i) {
    const SegmentPlan& segment = plan.segment[i];
    const std::int64_t repeat = i >= 1 && i <= kinds ? sizes.layers[i - 1] : 1;
    elements += repeat * segment.parameter_stride;
    slots += repeat * segment.slot_bytes;
    scratch = std::max({scratch, segment.forward_bytes, segment.backward_bytes});
  }
  plan.parameter_elements = elements;
  plan.scratch_bytes = scratch;

  std::int64_t at = 0;
  const auto region = [&](std::int64_t& start, std::int64_t bytes) {
    start = at;
    at = align_up(at + bytes + (bytes > 0 ? sizes.guard : 0), sizes.alignment);
  };
  const std::int64_t rows =
      sizes.symbol[static_cast<int>(Symbol::batch)] * sizes.symbol[static_cast<int>(Symbol::query)];
  const std::int64_t stream = rows * sizes.symbol[static_cast<int>(Symbol::hidden)];
  const auto width = [&](Width w) { return static_cast<int>(sizes.half_bytes[static_cast<int>(w)]); };
  region(plan.parameters, bytes_of(elements, sizes.state.weight));
  region(plan.gradients, bytes_of(elements, sizes.state.gradient));
  region(plan.master, bytes_of(elements, sizes.state.master));
  region(plan.moments, sizes.state.moments * bytes_of(elements, sizes.state.moment));
  region(plan.tokens, bytes_of(rows, width(Width::index)));
  region(plan.targets, bytes_of(rows, width(Width::index)));
  region(plan.slots, slots);
  plan.boundary = at;
  region(plan.boundary_residual, structure.residual_boundary ? bytes_of(stream, width(Width::stream)) : 0);
  region(plan.boundary_delta, structure.delta_boundary ? bytes_of(stream, width(Width::activation)) : 0);
  region(plan.boundary_gradient, structure.gradient_boundary ? bytes_of(stream, width(Width::stream)) : 0);
  region(plan.workspace, sizes.workspace.value());
  plan.scratch = at;
  plan.total = at + scratch;
}

}  // namespace dtcalc
