#include "costmodel/lower/distinct.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace dtcalc {
namespace {

/// Whether two kernels have the same price: everything that kernel_cost and collective_kernel_cost read is equal.
bool same_price(const Kernel& a, const Program& of_a, const Kernel& b, const Program& of_b) {
  const auto fields = [](const Kernel& k) {
    return std::make_tuple(k.contract, k.joined, k.more_launches, k.local, k.block_weight, k.casts_apart, k.m, k.n, k.k,
                           k.batch, k.flop, k.elements, k.axis, k.law_id,
                           k.contract == Contract::product && k.operands[3] != kNone);
  };
  return fields(a) == fields(b) &&
         std::equal(of_a.traffic.begin() + a.traffic_begin, of_a.traffic.begin() + a.traffic_end,
                    of_b.traffic.begin() + b.traffic_begin, of_b.traffic.begin() + b.traffic_end);
}

bool same_scratch(const Program& a, const Program& b) {
  const auto lie = [](const Buffer& buffer) {
    return std::make_tuple(buffer.extent, buffer.width, buffer.first, buffer.last);
  };
  return std::equal(a.scratch.begin(), a.scratch.end(), b.scratch.begin(), b.scratch.end(),
                    [&](const Buffer& x, const Buffer& y) { return lie(x) == lie(y); });
}

}  // namespace

void find_distinct_kernels(Structure& structure) {
  const auto price = [&](int segment, bool backward) {
    Program& program = backward ? segment_of(structure, segment).backward : segment_of(structure, segment).forward;
    for (std::size_t k = 0; k < program.kernels.size(); ++k) {
      Kernel& kernel = program.kernels[k];
      const auto same = [&](const KernelRef& other) {
        const Program& of_other = program_of(structure, other);
        return same_price(kernel, program, of_other.kernels[other.kernel], of_other);
      };
      const auto found = std::find_if(structure.distinct.begin(), structure.distinct.end(), same);
      kernel.price = static_cast<std::uint16_t>(found - structure.distinct.begin());
      if (found == structure.distinct.end())
        structure.distinct.push_back({static_cast<std::int16_t>(segment), static_cast<std::uint16_t>(k), backward});
    }
  };
  for (int i = 0; i < segments_in(structure); ++i) price(i, false), price(i, true);
  assert(structure.distinct.size() <= kMaxDistinctKernels);
}

void find_distinct_scratch(Structure& structure) {
  for (const auto program : {&LoweredSegment::forward, &LoweredSegment::backward})
    for (auto block = structure.blocks.begin(); block != structure.blocks.end(); ++block) {
      const auto alike = [&](const LoweredSegment& earlier) {
        return same_scratch(earlier.*program, (*block).*program);
      };
      const auto found = std::find_if(structure.blocks.begin(), block, alike);
      if (found != block) ((*block).*program).placed_as = static_cast<std::int16_t>(found - structure.blocks.begin());
    }
}

}  // namespace dtcalc
