#include "costmodel/evaluate/segments.hpp"

#include <cassert>

#include "costmodel/evaluate/traffic.hpp"

namespace dtcalc {
namespace {

void count(const LoweredSegment& s, const Sizes& sizes, const std::int64_t* values, const std::int64_t* whole,
           SegmentCost& cost) {
  for (const ParameterTensor& p : s.parameters) {
    const std::int64_t local = values[p.extent], n = whole[p.extent];
    if (p.tied) {
      cost.tied += local;
      if (p.trained) cost.tied_trained += local;
      continue;
    }
    cost.parameters += local;
    if (p.packed) cost.packed += local;
    if (p.trained && local < kSmallestScaledTensor) cost.small += local;
    cost.whole_parameters += n;
    if (p.trained) cost.trained += local, cost.whole_trained += n;
    if (p.embedding) cost.whole_embedding += n;
  }
  for (const SavedTensor& saved : s.saved)
    cost.saved_bytes += bytes_of(values[saved.extent], sizes.half_bytes[static_cast<int>(saved.width)]);
  for (const ModelFlop& f : s.model_flop)
    (f.backward ? cost.backward_flop : cost.forward_flop) += static_cast<double>(whole[f.extent]);
}

/// The kernels of one program, in order.
class ProgramCost {
 public:
  ProgramCost(const Program& program, const Sizes& sizes, const KernelCost* costs)
      : program_(program), sizes_(sizes), costs_(costs), traffic_(sizes.layout) {}

  void run(int segment, bool backward_program, Segments& all) {
    const int first = all.group_count;
    SegmentCost& cost = all.cost[segment];
    StageSeconds seconds{}, launches{};
    std::size_t k = 0;
    for (std::size_t g = 0; g < program_.groups.size(); ++g) {
      assert(all.group_count < kMaxGroups);
      GroupItem& item = all.groups[all.group_count++];
      item = {};
      item.group = &program_.groups[g];
      item.segment = segment;
      const bool backward = backward_program || item.group->phase == Phase::backward;
      double longest = -1;
      for (; k < program_.kernels.size() && program_.kernels[k].group == g; ++k)
        add(program_.kernels[k], backward, item, longest, seconds, launches);
    }
    add(seconds, cost.seconds);
    add(launches, cost.launches);
    const double ring = traffic_.exposed_ring(), tensor = traffic_.exposed_tensor(), data = traffic_.exposed_data();
    spread_ring(ring, &all.groups[first], all.group_count - first);
    (backward_program ? cost.seconds.backward_input : cost.seconds.forward) += tensor + ring + data;
    for (int a = 0; a < kAxes; ++a) cost.traffic[a].sent_bytes += traffic_.sent_bytes(static_cast<Axis>(a));
    cost.traffic[static_cast<int>(Axis::tensor)].exposed += Seconds(tensor);
    cost.traffic[static_cast<int>(Axis::context)].exposed += Seconds(ring);
    cost.traffic[static_cast<int>(Axis::data)].exposed += Seconds(data);
  }

 private:
  static void add(const StageSeconds& part, StageSeconds& sum) {
    sum.forward += part.forward;
    sum.backward_input += part.backward_input;
    sum.backward_weight += part.backward_weight;
  }

  void add(const Kernel& kernel, bool backward, GroupItem& item, double& longest, StageSeconds& seconds,
           StageSeconds& launches) {
    const KernelCost& c = costs_[kernel.price];
    item.seconds += c.seconds;
    if (c.bound == Bound::communication) {
      traffic_.add(kernel, c);
      item.bound = c.bound;
      return;
    }
    item.flop += c.flop;
    item.read_bytes += c.read_bytes;
    item.written_bytes += c.written_bytes;
    const int launches_of_it = kernel.more_launches + (kernel.joined ? 0 : 1);
    const double launch = launches_of_it;
    item.kernels += launches_of_it;
    if (c.seconds > longest) longest = c.seconds, item.bound = c.bound;
    if (kernel.contract == Contract::flash || kernel.contract == Contract::flash_backward)
      traffic_.hide_ring_behind(c.seconds);
    const double on_device = c.seconds + launch * sizes_.rates.gap_s, on_host = launch * sizes_.rates.host_s;
    if (!backward)
      seconds.forward += on_device, launches.forward += on_host;
    else if (kernel.contract == Contract::product_weight)
      seconds.backward_weight += on_device, launches.backward_weight += on_host;
    else
      seconds.backward_input += on_device, launches.backward_input += on_host;
  }

  /// The ring's groups share what is exposed in proportion to what they send.
  void spread_ring(double exposed, GroupItem* groups, int count) const {
    double sum = 0;
    for (int i = 0; i < count; ++i)
      if (groups[i].group->name == Name::attention_ring) sum += groups[i].seconds;
    if (sum == 0) return;
    for (int i = 0; i < count; ++i)
      if (groups[i].group->name == Name::attention_ring) groups[i].seconds *= exposed / sum;
  }

  const Program& program_;
  const Sizes& sizes_;
  const KernelCost* costs_;  ///< by Kernel::price
  ProgramTraffic traffic_;
};

}  // namespace

void evaluate_segments(const Structure& structure, const Sizes& sizes, Segments& segments, MemoryPlan& plan) {
  assert(structure.extents.size() <= kMaxExtents && structure.blocks.size() <= kMaxBlockKinds);
  evaluate_extents(structure, sizes.symbol, segments.values);
  std::array<std::int64_t, kMaxExtents> whole_values;
  if (sizes.sharded) evaluate_extents(structure, sizes.whole_symbol, whole_values);
  const std::int64_t *values = segments.values.data(), *whole = sizes.sharded ? whole_values.data() : values;
  segments.group_count = 0;
  std::array<KernelCost, kMaxDistinctKernels> costs;
  for (std::size_t i = 0; i < structure.distinct.size(); ++i) {
    const Program& program = program_of(structure, structure.distinct[i]);
    const Kernel& kernel = program.kernels[structure.distinct[i].kernel];
    costs[i] = is_collective(kernel.contract) ? collective_kernel_cost(kernel, program, sizes, values)
                                              : kernel_cost(kernel, program, sizes, values);
  }
  for (int i = 0; i < segments_in(structure); ++i) {
    const LoweredSegment& s = segment_of(structure, i);
    segments.cost[i] = {};
    count(s, sizes, values, whole, segments.cost[i]);
    ProgramCost(s.forward, sizes, costs.data()).run(i, false, segments);
    ProgramCost(s.backward, sizes, costs.data()).run(i, true, segments);
  }
  plan_segments(structure, sizes, values, plan);
}

}  // namespace dtcalc
