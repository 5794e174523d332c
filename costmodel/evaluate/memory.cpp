#include "costmodel/evaluate/memory.hpp"

#include <algorithm>

#include "costmodel/schedule/bound.hpp"

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

/// `blocks`: plans of the kinds of blocks, those before this one done.
void plan_segment(const LoweredSegment& s, const Sizes& sizes, const std::int64_t* values, const SegmentPlan* blocks,
                  SegmentPlan& plan) {
  // Parameters, gradients and moments share one element numbering, so its unit must align the narrowest of them.
  const std::int64_t unit = std::max<std::int64_t>(1, sizes.alignment / 2);
  plan.elements = plan.tied = {};
  for (std::size_t i = 0; i < s.parameters.size(); ++i) {
    const ParameterTensor& p = s.parameters[i];
    const std::int64_t padded = align_up(values[p.extent] + sizes.guard, unit);
    const auto of = [&](ParameterElements& e) -> std::int64_t& {
      return p.trained ? e.trained : p.packed ? e.packed : e.frozen;
    };
    plan.parameter[i] = of(plan.elements);
    if (p.trained && !p.tied && values[p.extent] < kSmallestScaledTensor) plan.elements.small += padded;
    of(p.tied ? plan.tied : plan.elements) += padded;
  }
  plan.input_bytes = 0;
  for (const InputTensor& in : s.inputs)
    plan.input_bytes += bytes_of(values[in.extent], sizes.half_bytes[static_cast<int>(in.width)]);
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < s.saved.size(); ++i) {
    plan.saved[i] = bytes;
    bytes = align_up(
        bytes + bytes_of(values[s.saved[i].extent], sizes.half_bytes[static_cast<int>(s.saved[i].width)]) + sizes.guard,
        sizes.alignment);
  }
  plan.slot_bytes = bytes;
  const auto scratch = [&](const Program& program, auto offsets, auto peak) {
    if (program.placed_as < 0) {
      plan.*peak = place(program.scratch, values, sizes, plan.*offsets);
      return;
    }
    const SegmentPlan& alike = blocks[program.placed_as];
    std::copy_n((alike.*offsets).begin(), program.scratch.size(), (plan.*offsets).begin());
    plan.*peak = alike.*peak;
  };
  scratch(s.forward, &SegmentPlan::forward, &SegmentPlan::forward_bytes);
  scratch(s.backward, &SegmentPlan::backward, &SegmentPlan::backward_bytes);
}

}  // namespace

void plan_segments(const Structure& structure, const Sizes& sizes, const std::int64_t* values, MemoryPlan& plan) {
  const int kinds = static_cast<int>(structure.blocks.size());
  const SegmentPlan* blocks = &plan.segment[1];
  for (int i = 0; i < kinds + 2; ++i) plan_segment(segment_of(structure, i), sizes, values, blocks, plan.segment[i]);
}

void plan_stage(const Structure& structure, const Sizes& sizes, const StageShape& shape, std::int64_t stage,
                MemoryPlan& plan) {
  const int kinds = static_cast<int>(structure.blocks.size());
  const Layout& l = sizes.layout;
  ParameterElements elements, largest_block;
  const auto add = [](ParameterElements& to, std::int64_t n, const ParameterElements& of) {
    to.trained += n * of.trained, to.frozen += n * of.frozen, to.packed += n * of.packed;
    to.small += n * of.small;
  };
  std::int64_t slots = 0, scratch = 0;
  for (int i = 0; i < kinds + 2; ++i) {
    const SegmentPlan& segment = plan.segment[i];
    const bool block = i >= 1 && i <= kinds;
    const std::int64_t repeat = block ? shape.layers[i - 1] : i == 0 ? shape.prologue : shape.epilogue;
    if (repeat == 0) continue;
    add(elements, repeat, segment.elements);
    if (l.pipeline > 1) add(elements, repeat, segment.tied);
    slots += repeat * segment.slot_bytes;
    scratch = std::max({scratch, segment.forward_bytes, segment.backward_bytes});
    if (block) largest_block = segment.elements;  // kinds of blocks have the same parameters
  }
  if (l.pipeline > 1)
    slots = slots * live_chunks(l.schedule, l.pipeline, l.chunks, sizes.micro_batches, stage) / l.chunks;
  plan.elements = elements;
  plan.scratch_bytes = scratch;
  plan.slot_bytes = slots;

  std::int64_t at = 0;
  const auto region = [&](std::int64_t& start, std::int64_t bytes) {
    start = at;
    at = align_up(at + bytes + (bytes > 0 ? sizes.guard : 0), sizes.alignment);
  };
  const auto share = [&](std::int64_t n, int stage_of_zero) {  // elements that this rank keeps
    const std::int64_t ranks = l.zero >= stage_of_zero ? l.replicas_of_states() : 1;
    return (n + ranks - 1) / ranks;
  };
  const auto symbol = [&](Symbol s) { return sizes.symbol[static_cast<int>(s)]; };
  const std::int64_t stream = symbol(Symbol::batch) * symbol(Symbol::shard) * symbol(Symbol::hidden);
  const auto width = [&](Width w) { return static_cast<int>(sizes.half_bytes[static_cast<int>(w)]); };
  const auto weights = [&](const ParameterElements& e, int stage_of_zero) {
    return bytes_of(share(e.trained + e.frozen, stage_of_zero), sizes.state.weight) +
           packed_bytes(share(e.packed, stage_of_zero), width(Width::packed));
  };
  region(plan.parameters, weights(elements, 3));
  region(plan.gradients, bytes_of(share(elements.trained, 2), sizes.state.gradient));
  region(plan.master, bytes_of(share(elements.trained, 1), sizes.state.master));
  region(plan.moments, moment_bytes(sizes.state, share(elements.trained, 1), share(elements.small, 1)));
  region(plan.tokens, shape.prologue ? plan.segment[0].input_bytes : 0);
  region(plan.targets, shape.epilogue ? plan.segment[kinds + 1].input_bytes : 0);
  region(plan.slots, slots);
  plan.boundary = at;
  region(plan.boundary_residual, structure.residual_boundary ? bytes_of(stream, width(Width::stream)) : 0);
  region(plan.boundary_delta, structure.delta_boundary ? bytes_of(stream, width(Width::activation)) : 0);
  region(plan.boundary_gradient, structure.gradient_boundary ? bytes_of(stream, width(Width::stream)) : 0);
  // An activation and a gradient on their way between stages; the block at work and the one after it, whole.
  plan.wire_bytes = l.pipeline > 1 ? 2 * bytes_of(stream, width(Width::stream)) : 0;
  if (l.replicas_of_states() > 1 && l.zero >= 3)
    plan.wire_bytes += 2 * (bytes_of(largest_block.trained + largest_block.frozen, sizes.state.gathered) +
                            packed_bytes(largest_block.packed, width(Width::packed)));
  if (l.replicas_of_states() > 1 && l.zero >= 2)
    plan.wire_bytes += 2 * bytes_of(largest_block.trained, sizes.state.gradient);
  region(plan.wire, plan.wire_bytes);
  region(plan.workspace, sizes.workspace.value());
  plan.scratch = at;
  plan.total = at + scratch;
}

void plan_memory(const Structure& structure, const Sizes& sizes, const std::int64_t* values, MemoryPlan& plan) {
  plan_segments(structure, sizes, values, plan);
  plan_stage(structure, sizes, stage_shape(sizes.layout, 0), 0, plan);
}

}  // namespace dtcalc
