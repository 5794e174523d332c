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
  ProgramCost(const Program& program, const Sizes& sizes, const std::int64_t* values, ProductMemo& memo)
      : program_(program), sizes_(sizes), values_(values), memo_(memo), traffic_(sizes.layout) {}

  void run(int segment, bool backward_program, Segments& all) {
    const int first = all.group_count;
    SegmentCost& cost = all.cost[segment];
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
        add(program_.kernels[k], backward, item, longest, cost);
    }
    const double ring = traffic_.exposed_ring(), tensor = traffic_.exposed_tensor(), data = traffic_.exposed_data();
    spread_ring(ring, &all.groups[first], all.group_count - first);
    (backward_program ? cost.seconds.backward_input : cost.seconds.forward) += tensor + ring + data;
    for (int a = 0; a < kAxes; ++a) cost.traffic[a].sent_bytes += traffic_.sent_bytes(static_cast<Axis>(a));
    cost.traffic[static_cast<int>(Axis::tensor)].exposed += Seconds(tensor);
    cost.traffic[static_cast<int>(Axis::context)].exposed += Seconds(ring);
    cost.traffic[static_cast<int>(Axis::data)].exposed += Seconds(data);
  }

 private:
  void add(const Kernel& kernel, bool backward, GroupItem& item, double& longest, SegmentCost& cost) {
    if (is_collective(kernel.contract)) {
      item.seconds += traffic_.add(kernel, program_, sizes_, values_);
      item.bound = Bound::communication;
      return;
    }
    const KernelCost c = kernel_cost(kernel, program_, sizes_, values_, memo_);
    item.flop += static_cast<double>(c.flop);
    item.read_bytes += static_cast<double>(c.read_bytes);
    item.written_bytes += static_cast<double>(c.written_bytes);
    item.seconds += c.seconds;
    const double launch = kernel.joined ? 0 : 1;
    item.kernels += kernel.joined ? 0 : 1;
    if (c.seconds > longest) longest = c.seconds, item.bound = c.bound;
    if (kernel.contract == Contract::flash || kernel.contract == Contract::flash_backward)
      traffic_.hide_ring_behind(c.seconds);
    double StageSeconds::*pass = !backward                                     ? &StageSeconds::forward
                                 : kernel.contract == Contract::product_weight ? &StageSeconds::backward_weight
                                                                               : &StageSeconds::backward_input;
    cost.seconds.*pass += c.seconds + launch * sizes_.rates.gap_s;
    cost.launches.*pass += launch * sizes_.rates.host_s;
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
  const std::int64_t* values_;
  ProductMemo& memo_;
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
  ProductMemo memo;
  const int count_of_segments = static_cast<int>(structure.blocks.size()) + 2;
  for (int i = 0; i < count_of_segments; ++i) {
    const LoweredSegment& s = segment_of(structure, i);
    segments.cost[i] = {};
    count(s, sizes, values, whole, segments.cost[i]);
    ProgramCost(s.forward, sizes, values, memo).run(i, false, segments);
    ProgramCost(s.backward, sizes, values, memo).run(i, true, segments);
  }
  plan_segments(structure, sizes, values, plan);
}

}  // namespace dtcalc
