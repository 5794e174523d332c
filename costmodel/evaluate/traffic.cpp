#include "costmodel/evaluate/traffic.hpp"

#include <algorithm>

namespace dtcalc {

KernelCost collective_kernel_cost(const Kernel& kernel, const Program& program, const Sizes& sizes,
                                  const std::int64_t* values) {
  const Layout& l = sizes.layout;
  const RankGroup& ranks = kernel.axis == Axis::data ? l.data_group : l.tensor_group;
  KernelCost sum{0, 0, 0, 0, 0, Bound::communication};
  const auto add = [&](Collective collective, const RankGroup& group, std::size_t operand, std::int64_t times) {
    const Traffic& t = program.traffic[kernel.traffic_begin + operand];
    const auto bytes = static_cast<double>(bytes_of(values[t.extent], sizes.half_bytes[static_cast<int>(t.width)]));
    const CollectiveCost cost = collective_cost(collective, bytes, group, l.fabric);
    sum.seconds += static_cast<double>(times) * cost.seconds;
    sum.sent_bytes += static_cast<double>(times) * cost.sent_bytes;
  };
  switch (kernel.contract) {
    case Contract::all_reduce:
      add(Collective::all_reduce, ranks, 0, 1);
      break;
    case Contract::all_gather:
      add(Collective::all_gather, ranks, 1, 1);
      break;
    case Contract::reduce_scatter:
      add(Collective::reduce_scatter, ranks, 0, 1);
      break;
    case Contract::ring:
      add(Collective::send, l.context_group, 0, l.context - 1);
      break;
    case Contract::ring_backward:  // the gradient must come home
      add(Collective::send, l.context_group, 1, l.context - 1);
      add(Collective::send, l.context_group, 0, l.context);
      break;
    default:
      break;
  }
  return sum;
}

void ProgramTraffic::add(const Kernel& kernel, const KernelCost& cost) {
  const bool ring = kernel.contract == Contract::ring || kernel.contract == Contract::ring_backward;
  sent_bytes_[static_cast<int>(ring ? Axis::context : kernel.axis)] += cost.sent_bytes;
  (ring ? ring_s_ : kernel.axis == Axis::data ? data_s_ : tensor_s_) += cost.seconds;
}

double ProgramTraffic::exposed_ring() const {
  const auto ranks = static_cast<double>(layout_.context);
  return std::max(0.0, ring_s_ - attention_s_ * (ranks - 1) / ranks);
}

StateExchange state_exchange(double gathered_bytes, double trained_bytes, double gradient_bytes, const Layout& l) {
  StateExchange e;
  if (l.replicas_of_states() == 1) return e;
  const auto cost = [&](Collective collective, double bytes) {
    return bytes > 0 ? collective_cost(collective, bytes, l.data_group, l.fabric) : CollectiveCost{};
  };
  e.reduce = cost(l.zero == 0 ? Collective::all_reduce : Collective::reduce_scatter, gradient_bytes);
  if (l.zero > 0) e.gather = cost(Collective::all_gather, l.zero == 3 ? gathered_bytes : trained_bytes);
  return e;
}

StateTraffic state_traffic(double gathered_bytes, std::int64_t trained, const Sizes& sizes,
                           const StageSeconds& seconds) {
  const Layout& l = sizes.layout;
  StateTraffic t;
  if (l.replicas_of_states() == 1) return t;
  const auto micro_batches = static_cast<double>(sizes.micro_batches);
  const auto layers = static_cast<double>(std::max<std::int64_t>(1, l.layers / l.pipeline));
  const auto [reduce, gather] =
      state_exchange(gathered_bytes, static_cast<double>(bytes_of(trained, sizes.state.gathered)),
                     static_cast<double>(bytes_of(trained, sizes.state.gradient)), l);
  // Of `total`, what does not hide behind `work`: at least one layer's share, which has nothing to hide behind.
  const auto exposed = [&](double total, double work, bool overlaps) {
    return overlaps ? std::max(total / layers, total - work) : total;
  };
  const double backward = seconds.backward_input + seconds.backward_weight;
  if (l.zero < 3) {
    const bool every = l.reduces_every_micro_batch();
    t.sent_bytes = reduce.sent_bytes * (every ? micro_batches : 1) + gather.sent_bytes;
    (every ? t.exposed_backward_s : t.exposed_at_end_s) = exposed(reduce.seconds, backward, l.overlap_gradients);
    if (gather.seconds > 0) t.exposed_at_end_s += exposed(gather.seconds, seconds.forward, l.overlap_parameters);
    return t;
  }
  const int passes = backward > 0 ? 2 : 1;  // a frozen model has no backward pass to gather for
  t.sent_bytes = (reduce.sent_bytes + passes * gather.sent_bytes) * micro_batches;
  // Gathering for the backward pass and reducing share the wire of that pass.
  t.exposed_forward_s = exposed(gather.seconds, seconds.forward, l.overlap_parameters);
  if (passes == 1) return t;
  t.exposed_backward_s = l.overlap_gradients && l.overlap_parameters
                             ? exposed(gather.seconds + reduce.seconds, backward, true)
                             : exposed(gather.seconds, backward, l.overlap_parameters) +
                                   exposed(reduce.seconds, backward, l.overlap_gradients);
  return t;
}

}  // namespace dtcalc
