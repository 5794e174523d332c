#include "costmodel/evaluate/evaluate.hpp"

#include <algorithm>
#include <cassert>

#include "costmodel/evaluate/stage_state.hpp"
#include "costmodel/evaluate/towers.hpp"
#include "costmodel/evaluate/traffic.hpp"

namespace dtcalc {
namespace {

constexpr double kShortest = 1e-12;  // s: keeps a quotient of times finite where a stage does nothing

/// Puts segments together to stages and a step.
class Combination {
 public:
  Combination(const Structure& structure, const Sizes& sizes, const Segments& segments, MemoryPlan& plan,
              Details* details)
      : structure_(structure),
        sizes_(sizes),
        layout_(sizes.layout),
        segments_(segments),
        plan_(plan),
        details_(details),
        kinds_(static_cast<int>(structure.blocks.size())),
        state_(structure, sizes, segments) {
    assert(layout_.pipeline <= kMaxStages);
  }

  Totals run() {
    totals_.devices = layout_.tensor * layout_.context * layout_.data * layout_.pipeline;
    model();
    stages();
    ledger();
    time();
    return totals_;
  }

 private:
  bool is_block(int i) const { return i >= 1 && i <= kinds_; }
  std::int64_t repeat(const StageShape& shape, int i) const { return state_.repeat(shape, i); }
  std::int64_t symbol(Symbol s) const { return sizes_.symbol[static_cast<int>(s)]; }
  int half(Width width) const { return sizes_.half_bytes[static_cast<int>(width)]; }

  /// Parameters and model FLOPs of the whole model.
  void model() {
    const double runs = static_cast<double>(sizes_.micro_batches * layout_.data);
    for (int i = 0; i < kinds_ + 2; ++i) {
      const SegmentCost& cost = segments_.cost[i];
      const std::int64_t repeats = is_block(i) ? sizes_.layers[i - 1] : 1;
      if (is_block(i) && repeats > 0) totals_.parameters_per_layer = Parameters(cost.whole_parameters);
      totals_.parameters += Parameters(cost.whole_parameters * repeats);
      totals_.trained_parameters += Parameters(cost.whole_trained * repeats);
      totals_.embedding_parameters += Parameters(cost.whole_embedding * repeats);
      totals_.forward_flop += Flop(cost.forward_flop * runs * static_cast<double>(repeats));
      totals_.backward_flop += Flop(cost.backward_flop * runs * static_cast<double>(repeats));
      if (!details_) continue;
      const LoweredSegment& s = segment_of(structure_, i);
      for (const SavedTensor& saved : s.saved)
        details_->saved.push_back(
            {&s.tensors[saved.tensor], i, repeats, Bytes(bytes_of(segments_.values[saved.extent], half(saved.width)))});
    }
  }

  /// Memory and time of every stage. Stages of equal shape differ in live micro-batches only, fewest on the later ones.
  void stages() {
    std::int64_t most = -1;
    double slowest = -1;
    std::int64_t next = 0;
    for (std::int64_t stage = 0; stage < layout_.pipeline; stage = next) {
      next = details_ ? stage + 1 : next_shape(layout_, stage);
      const StageShape shape = stage_shape(layout_, stage);
      plan_stage(structure_, sizes_, shape, stage, plan_);
      if (plan_.total > most) most = plan_.total, totals_.peak.stage = stage;
      StageSeconds seconds{}, host{};
      for (int i = 0; i < kinds_ + 2; ++i) {
        const double n = static_cast<double>(repeat(shape, i));
        host.forward += n * segments_.cost[i].launches.forward;
        host.backward_input += n * segments_.cost[i].launches.backward_input;
        host.backward_weight += n * segments_.cost[i].launches.backward_weight;
        seconds.forward += n * segments_.cost[i].seconds.forward;
        seconds.backward_input += n * segments_.cost[i].seconds.backward_input;
        seconds.backward_weight += n * segments_.cost[i].seconds.backward_weight;
      }
      const StageSeconds device = seconds;
      seconds = with_host(device, host);
      const StageSeconds waiting = seconds;
      const auto gathered = static_cast<double>(
          state_.weight_bytes(state_.parameters(shape), state_.packed(shape), sizes_.state.gathered));
      const StateTraffic states = state_traffic(gathered, state_.trained(shape), sizes_, seconds);
      seconds.forward += states.exposed_forward_s;
      seconds.backward_weight += states.exposed_backward_s;
      std::fill(stage_seconds_.begin() + stage, stage_seconds_.begin() + next, seconds);
      if (stage == 0) first_stage_ = states;
      if (sum(seconds) > slowest) {
        slowest = sum(seconds), totals_.stage = stage;
        slowest_stage_ = states, host_wait_ = sum(waiting) - sum(device);
      }
      if (details_) record_stage(shape, stage, seconds, quotient(waiting, device));
    }
  }

  static double sum(const StageSeconds& s) { return s.forward + s.backward_input + s.backward_weight; }

  /// A micro-batch's time on a stage with the host's in view: launches run ahead of the device, so only what exceeds
  /// its time shows. In a pipeline a pass begins when its input arrives, so each waits for its own launches.
  StageSeconds with_host(const StageSeconds& device, const StageSeconds& host) const {
    if (layout_.pipeline > 1)
      return {std::max(device.forward, host.forward), std::max(device.backward_input, host.backward_input),
              std::max(device.backward_weight, host.backward_weight)};
    const double stretch = std::max(1.0, sum(host) / std::max(sum(device), kShortest));
    return {device.forward * stretch, device.backward_input * stretch, device.backward_weight * stretch};
  }

  static StageSeconds quotient(const StageSeconds& a, const StageSeconds& b) {
    const auto q = [](double x, double y) { return y > 0 ? x / y : 1; };
    return {q(a.forward, b.forward), q(a.backward_input, b.backward_input), q(a.backward_weight, b.backward_weight)};
  }

  void record_stage(const StageShape& shape, std::int64_t stage, const StageSeconds& seconds,
                    const StageSeconds& host_stretch) {
    StageItem item;
    item.host_stretch = host_stretch;
    item.shape = shape;
    item.seconds = seconds;
    item.live = live_chunks(layout_.schedule, layout_.pipeline, layout_.chunks, sizes_.micro_batches, stage);
    item.slot = Bytes(item.live > 0 ? plan_.slot_bytes / item.live : 0);
    item.total = Bytes(plan_.total);
    item.memory = composition(shape, stage).parts;
    item.optimizer_s = state_.optimizer_seconds(shape);
    details_->stages.push_back(item);
  }

  struct Alive {
    std::int64_t bytes, logits;
  };
  /// The composition at the kernel of a program where most bytes are alive.
  Alive most_alive(const Program& program) const {
    const int kernels = static_cast<int>(program.kernels.size());
    assert(kernels < kMaxKernels);
    std::array<Alive, kMaxKernels> change;  // from the kernel before
    std::fill_n(change.begin(), kernels + 1, Alive{0, 0});
    for (const Buffer& b : program.scratch) {
      const std::int64_t bytes = bytes_of(segments_.values[b.extent], half(b.width));
      const std::int64_t logits = b.width == Width::logits || b.copies_logits ? bytes : 0;
      change[b.first].bytes += bytes, change[b.first].logits += logits;
      change[b.last + 1].bytes -= bytes, change[b.last + 1].logits -= logits;
    }
    Alive now{0, 0}, most{0, 0};
    for (int k = 0; k < kernels; ++k) {
      now.bytes += change[k].bytes, now.logits += change[k].logits;
      if (now.bytes > most.bytes) most = now;
    }
    return most;
  }

  struct Composition {
    StageMemory parts;
    Bytes saved{0};
    PeakInstant peak;
  };

  /// What a stage holds at its peak; plan_stage has planned it just before.
  Composition composition(const StageShape& shape, std::int64_t stage) const {
    Composition c;
    c.peak.stage = stage;
    const std::int64_t n = state_.parameters(shape), trained = state_.trained(shape);
    const std::int64_t packed = state_.packed(shape);
    c.parts.parameters = Bytes(state_.weight_bytes(state_.shard(n - packed, 3) + state_.shard(packed, 3),
                                                   state_.shard(packed, 3), sizes_.state.weight));
    c.parts.gradients = Bytes(bytes_of(state_.shard(trained, 2), sizes_.state.gradient));
    const std::int64_t owned = state_.shard(trained, 1);
    c.parts.optimizer = Bytes(bytes_of(owned, sizes_.state.master) +
                              moment_bytes(sizes_.state, owned, state_.shard(state_.small(shape), 1)));
    std::int64_t saved = 0;
    for (int i = 0; i < kinds_ + 2; ++i) {
      if (repeat(shape, i) == 0) continue;
      saved += repeat(shape, i) * segments_.cost[i].saved_bytes;
      if (plan_.segment[i].forward_bytes == plan_.scratch_bytes) c.peak.segment = i, c.peak.backward = false;
      if (plan_.segment[i].backward_bytes == plan_.scratch_bytes) c.peak.segment = i, c.peak.backward = true;
    }
    if (layout_.pipeline > 1)
      saved = saved * live_chunks(layout_.schedule, layout_.pipeline, layout_.chunks, sizes_.micro_batches, stage) /
              layout_.chunks;
    c.saved = Bytes(saved);
    const LoweredSegment& peak = segment_of(structure_, c.peak.segment);
    const Program& program = c.peak.backward ? peak.backward : peak.forward;
    const auto [most, logits] = most_alive(program);
    const std::int64_t stream = symbol(Symbol::batch) * symbol(Symbol::shard) * symbol(Symbol::hidden);
    const std::int64_t boundary = (structure_.residual_boundary ? bytes_of(stream, half(Width::stream)) : 0) +
                                  (structure_.delta_boundary ? bytes_of(stream, half(Width::activation)) : 0) +
                                  (structure_.gradient_boundary ? bytes_of(stream, half(Width::stream)) : 0);
    c.parts.logits = Bytes(logits);
    c.parts.activations = c.saved + Bytes(boundary + most - logits);
    c.parts.workspace = Bytes(plan_.total) - c.parts.parameters - c.parts.gradients - c.parts.optimizer -
                        c.parts.activations - c.parts.logits;
    return c;
  }

  /// The categories on the stage where memory peaks.
  void ledger() {
    const std::int64_t stage = totals_.peak.stage;
    const StageShape shape = stage_shape(layout_, stage);
    plan_stage(structure_, sizes_, shape, stage, plan_);
    const Composition c = composition(shape, stage);
    totals_.parameters_per_device = Parameters(state_.parameters(shape));
    totals_.parameters_bytes = c.parts.parameters;
    totals_.gradients_bytes = c.parts.gradients;
    totals_.optimizer_bytes = c.parts.optimizer;
    totals_.activations_bytes = c.parts.activations;
    totals_.logits_bytes = c.parts.logits;
    totals_.workspace_bytes = c.parts.workspace;
    totals_.saved_bytes = c.saved;
    totals_.peak = c.peak;
    totals_.total = Bytes(plan_.total);
  }

  /// The step: every group on the slowest stage, what the schedule adds, the optimizer and the data ranks' traffic.
  void time() {
    const StageShape shape = stage_shape(layout_, totals_.stage);
    const double micro_batches = static_cast<double>(sizes_.micro_batches);
    for (int i = 0; i < segments_.group_count; ++i) {
      const GroupItem& item = segments_.groups[i];
      add(item, repeat(shape, item.segment) * sizes_.micro_batches,
          item.bound == Bound::communication && item.kernels == 0 ? totals_.exposed : totals_.compute);
    }
    executed_flop();
    for (int i = 0; i < kinds_ + 2; ++i)
      for (int a = 0; a < kAxes; ++a) {
        const double runs = static_cast<double>(repeat(shape, i)) * micro_batches;
        totals_.traffic[a].sent_bytes += segments_.cost[i].traffic[a].sent_bytes * runs;
        totals_.traffic[a].exposed += segments_.cost[i].traffic[a].exposed * runs;
      }
    if (layout_.pipeline > 1) pipeline();
    if (structure_.choices.training) {
      optimizer(stage_shape(layout_, 0));
      state_exchange();
    }
    totals_.model_flop = totals_.forward_flop + totals_.backward_flop;
    totals_.host += Seconds(host_wait_ * micro_batches);
    totals_.step = totals_.compute + totals_.exposed + totals_.bubble + totals_.optimizer + totals_.host;
    totals_.tokens = Tokens(symbol(Symbol::batch) * sizes_.whole_symbol[static_cast<int>(Symbol::query)] *
                            sizes_.micro_batches * layout_.data);
    if (totals_.step.value() > 0) {  // (5.4) with E03
      const double at_peak = sizes_.seconds_per_flop / static_cast<double>(totals_.devices);
      totals_.mfu = totals_.model_flop.value() * at_peak / totals_.step.value();
      totals_.hfu = totals_.hardware_flop.value() * at_peak / totals_.step.value();
    }
  }

  /// Adds a group to the totals: the only place where time is summed.
  void add(const GroupItem& item, std::int64_t times, Seconds& part) {
    const double count = static_cast<double>(times), launches = item.kernels * sizes_.rates.gap_s;
    part += Seconds(item.seconds * count);
    totals_.host += Seconds(launches * count);
    if (!details_) return;
    GroupItem& listed = details_->groups.emplace_back(item);
    listed.count = times;
    listed.seconds += launches;
  }

  /// FLOPs that the kernels of all devices execute.
  void executed_flop() {
    const double replicas = static_cast<double>(sizes_.micro_batches * layout_.data * layout_.context * layout_.tensor);
    for (int i = 0; i < segments_.group_count; ++i) {
      const GroupItem& item = segments_.groups[i];
      const double runs = static_cast<double>(is_block(item.segment) ? sizes_.layers[item.segment - 1] : 1) * replicas;
      totals_.hardware_flop += Flop(item.flop * runs);
      if (item.group->phase == Phase::recompute) totals_.recompute_flop += Flop(item.flop * runs);
    }
  }

  void pipeline() {
    const double bytes = static_cast<double>(
        bytes_of(symbol(Symbol::batch) * symbol(Symbol::shard) * symbol(Symbol::hidden), half(Width::stream)));
    const CollectiveCost transfer = collective_cost(Collective::send, bytes, layout_.pipeline_group, layout_.fabric);
    const std::span<const StageSeconds> all(stage_seconds_.data(), static_cast<std::size_t>(layout_.pipeline));
    const double step = step_bound(layout_.schedule, all, layout_.chunks, sizes_.micro_batches, transfer.seconds);
    const double busy = sum(stage_seconds_[totals_.stage]) * static_cast<double>(sizes_.micro_batches);
    totals_.bubble = Seconds(std::max(0.0, step - busy));
    // A stage in the middle sends every chunk's output on and its input's gradient back (7.5).
    totals_.traffic[static_cast<int>(Axis::pipeline)].sent_bytes +=
        2 * bytes * static_cast<double>(sizes_.micro_batches * layout_.chunks);
  }

  void optimizer(const StageShape& shape) {
    static const Group norm{Name::optimizer_norm, Phase::optimizer, {Name::optimizer_norm}};
    static const Group update{Name::optimizer_update, Phase::optimizer, {Name::optimizer_update}};
    const std::int64_t trained = state_.trained(shape);
    if (trained == 0) return;
    const Bound bound = sizes_.calibrated ? Bound::measured : Bound::memory;
    const auto loop = [&](const Group& group, std::string_view law, std::int64_t elements, double read,
                          double written) {
      add({&group, 0, 1, 1, 0, read, written, state_.loop_seconds(law, elements, read, written), bound, 0}, 1,
          totals_.optimizer);
    };
    if (structure_.choices.clip) loop(norm, "gradient_norm", state_.shard(trained, 2), state_.clip_bytes(trained), 0);
    const StageState::OptimizerWork w = state_.optimizer_bytes(shape);
    loop(update, state_.optimizer_law(), state_.shard(trained, 1), w.read, w.written);
  }

  /// Gradients, parameters and states over data ranks: what waits in every micro-batch of the slowest stage, and what
  /// is left when the first stage, which ends last, has ended.
  void state_exchange() {
    const double each = slowest_stage_.exposed_forward_s + slowest_stage_.exposed_backward_s;
    const Seconds exposed(each * static_cast<double>(sizes_.micro_batches) + first_stage_.exposed_at_end_s);
    AxisTraffic& data = totals_.traffic[static_cast<int>(Axis::data)];
    data.sent_bytes += slowest_stage_.sent_bytes;
    data.exposed += exposed;
    totals_.exposed += exposed;
  }

  const Structure& structure_;
  const Sizes& sizes_;
  const Layout& layout_;
  const Segments& segments_;
  MemoryPlan& plan_;
  Details* details_;
  int kinds_;
  StageState state_;
  std::array<StageSeconds, kMaxStages> stage_seconds_;
  StateTraffic first_stage_, slowest_stage_;
  double host_wait_ = 0;  ///< of a micro-batch on the slowest stage
  Totals totals_;
};

}  // namespace

Totals combine(const Structure& structure, const Sizes& sizes, const Segments& segments, MemoryPlan& plan,
               Details* details) {
  return Combination(structure, sizes, segments, plan, details).run();
}

Totals evaluate(const Structure& structure, const Sizes& sizes, Details* details) {
  Segments segments;
  MemoryPlan local;
  MemoryPlan& plan = details ? details->plan : local;
  evaluate_segments(structure, sizes, segments, plan);
  return combine(structure, sizes, segments, plan, details);
}

Totals evaluate(const Scenario& scenario, Work work, Details* details, std::int64_t context) {
  if (work == Work::training && has_towers(scenario)) return evaluate_towers(scenario, details);
  return evaluate(cached_structure(choices_of(scenario, work)), sizes_of(scenario, work, context), details);
}

}  // namespace dtcalc
