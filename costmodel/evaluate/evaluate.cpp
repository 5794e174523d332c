#include "costmodel/evaluate/evaluate.hpp"

#include <algorithm>
#include <cassert>

namespace dtcalc {
namespace {

using Values = std::array<std::int64_t, kMaxExtents>;

class Evaluation {
 public:
  Evaluation(const Structure& structure, const Sizes& sizes, Details* details)
      : structure_(structure), sizes_(sizes), details_(details) {
    assert(structure.extents.size() <= kMaxExtents && structure.blocks.size() <= kMaxBlockKinds);
  }

  Totals run() {
    evaluate_extents(structure_, sizes_, values_);
    const int kinds = static_cast<int>(structure_.blocks.size());
    for_segments([&](const LoweredSegment& s, int index, std::int64_t repeat) { count(s, index, repeat); });
    plan_memory(structure_, sizes_, values_.data(), details_ ? details_->plan : plan_);
    ledger(details_ ? details_->plan : plan_, kinds);
    for_segments([&](const LoweredSegment& s, int index, std::int64_t repeat) {
      costs(s.forward, index, repeat * sizes_.micro_batches);
      costs(s.backward, index, repeat * sizes_.micro_batches);
      model_flop(s, repeat * sizes_.micro_batches);
    });
    if (structure_.choices.training) optimizer();
    finish();
    return totals_;
  }

 private:
  template <class F>
  void for_segments(F&& f) {
    const int kinds = static_cast<int>(structure_.blocks.size());
    f(structure_.prologue, 0, 1);
    for (int k = 0; k < kinds; ++k) f(structure_.blocks[k], 1 + k, sizes_.layers[k]);
    f(structure_.epilogue, 1 + kinds, 1);
  }

  int half(Width width) const { return sizes_.half_bytes[static_cast<int>(width)]; }

  void count(const LoweredSegment& s, int index, std::int64_t repeat) {
    std::int64_t all = 0, trained = 0, embedding = 0;
    for (const ParameterTensor& p : s.parameters) {
      if (p.tied) continue;
      const std::int64_t n = values_[p.extent];
      all += n;
      if (p.trained) trained += n;
      if (p.embedding) embedding += n;
    }
    const bool block = index >= 1 && index <= static_cast<int>(structure_.blocks.size());
    if (block) totals_.parameters_per_layer = Parameters(all);
    totals_.parameters += Parameters(all * repeat);
    totals_.trained_parameters += Parameters(trained * repeat);
    totals_.embedding_parameters += Parameters(embedding * repeat);
    for (const SavedTensor& saved : s.saved) {
      const std::int64_t bytes = bytes_of(values_[saved.extent], half(saved.width));
      totals_.saved_bytes += Bytes(bytes * repeat);
      if (details_) details_->saved.push_back({&s.tensors[saved.tensor], index, repeat, Bytes(bytes)});
    }
  }

  void ledger(const MemoryPlan& plan, int kinds) {
    const std::int64_t n = totals_.parameters.value(), trained = totals_.trained_parameters.value();
    totals_.parameters_bytes = Bytes(bytes_of(n, sizes_.state.weight));
    totals_.gradients_bytes = Bytes(bytes_of(trained, sizes_.state.gradient));
    totals_.optimizer_bytes =
        Bytes(bytes_of(trained, sizes_.state.master) + sizes_.state.moments * bytes_of(trained, sizes_.state.moment));
    for (int i = 0; i < kinds + 2; ++i) {
      if (plan.segment[i].forward_bytes == plan.scratch_bytes) totals_.peak = {i, false};
      if (plan.segment[i].backward_bytes == plan.scratch_bytes) totals_.peak = {i, true};
    }
    const LoweredSegment& peak = segment(totals_.peak.segment, kinds);
    const Program& program = totals_.peak.backward ? peak.backward : peak.forward;
    // The composition at the kernel of that program where most bytes are alive.
    std::int64_t most = 0, logits = 0;
    for (int k = 0; k < static_cast<int>(program.kernels.size()); ++k) {
      std::int64_t alive = 0, of_logits = 0;
      for (const Buffer& b : program.scratch) {
        if (b.first > k || b.last < k) continue;
        const std::int64_t bytes = bytes_of(values_[b.extent], half(b.width));
        alive += bytes;
        if (b.width == Width::logits) of_logits += bytes;
      }
      if (alive > most) most = alive, logits = of_logits;
    }
    const std::int64_t rows = symbol(Symbol::batch) * symbol(Symbol::query);
    const std::int64_t stream = rows * symbol(Symbol::hidden);
    const std::int64_t boundary = (structure_.residual_boundary ? bytes_of(stream, half(Width::stream)) : 0) +
                                  (structure_.delta_boundary ? bytes_of(stream, half(Width::activation)) : 0) +
                                  (structure_.gradient_boundary ? bytes_of(stream, half(Width::stream)) : 0);
    totals_.logits_bytes = Bytes(logits);
    totals_.activations_bytes = totals_.saved_bytes + Bytes(boundary + most - logits);
    totals_.total = Bytes(plan.total);
    totals_.workspace_bytes = totals_.total - totals_.parameters_bytes - totals_.gradients_bytes -
                              totals_.optimizer_bytes - totals_.activations_bytes - totals_.logits_bytes;
  }

  const LoweredSegment& segment(int index, int kinds) const {
    return index == 0 ? structure_.prologue : index <= kinds ? structure_.blocks[index - 1] : structure_.epilogue;
  }
  std::int64_t symbol(Symbol s) const { return sizes_.symbol[static_cast<int>(s)]; }

  void model_flop(const LoweredSegment& s, std::int64_t repeat) {
    double forward = 0, backward = 0;
    for (const ModelFlop& f : s.model_flop) (f.backward ? backward : forward) += static_cast<double>(values_[f.extent]);
    totals_.forward_flop += Flop(forward * static_cast<double>(repeat));
    totals_.backward_flop += Flop(backward * static_cast<double>(repeat));
  }

  void costs(const Program& program, int segment_index, std::int64_t repeat) {
    std::size_t k = 0;
    for (std::size_t g = 0; g < program.groups.size(); ++g) {
      GroupItem item{&program.groups[g], segment_index, repeat, 0, 0, 0, 0, 0, Bound::compute};
      double longest = -1;
      for (; k < program.kernels.size() && program.kernels[k].group == g; ++k) {
        const KernelCost cost = kernel_cost(program.kernels[k], program, sizes_, values_.data());
        item.flop += static_cast<double>(cost.flop);
        item.read_bytes += static_cast<double>(cost.read_bytes);
        item.written_bytes += static_cast<double>(cost.written_bytes);
        item.seconds += cost.seconds;
        if (cost.seconds > longest) longest = cost.seconds, item.bound = cost.bound;
        ++item.kernels;
      }
      add(item, totals_.compute);
    }
  }

  /// Adds a group to the totals: the only place where time and executed FLOPs are summed.
  void add(GroupItem& item, Seconds& part) {
    const double count = static_cast<double>(item.count), launches = item.kernels * sizes_.launch_s;
    part += Seconds(item.seconds * count);
    totals_.host += Seconds(launches * count);
    totals_.hardware_flop += Flop(item.flop * count);
    if (item.group->phase == Phase::recompute) totals_.recompute_flop += Flop(item.flop * count);
    item.seconds += launches;
    if (details_) details_->groups.push_back(item);
  }

  void optimizer() {
    static const Group norm{Name::optimizer_norm, Phase::optimizer, {Name::optimizer_norm}};
    static const Group update{Name::optimizer_update, Phase::optimizer, {Name::optimizer_update}};
    const auto trained = static_cast<double>(totals_.trained_parameters.value());
    const double gradient = trained * sizes_.state.gradient / 2;
    const double state = trained * (sizes_.state.master + sizes_.state.moments * sizes_.state.moment) / 2;
    const double weights = trained * sizes_.state.weight / 2;
    const auto loop = [&](const Group& group, std::string_view law, double read, double written) {
      GroupItem item{&group, 0, 1, 1, 0, read, written, (read + written) * sizes_.seconds_per_byte, Bound::memory};
      const double measured =
          sizes_.calibrated ? interpolated_loop(*sizes_.calibrated, law, totals_.trained_parameters.value()) : 0;
      if (measured > 0) item.seconds = trained * measured, item.bound = Bound::measured;
      add(item, totals_.optimizer);
    };
    if (structure_.choices.clip) loop(norm, "gradient_norm", gradient, 0);
    // With a master copy the weights are only written; without one they are read too.
    loop(update, structure_.choices.optimizer == Optimizer::adamw ? "optimizer.adamw" : "optimizer.sgd",
         gradient + state + (sizes_.state.master ? 0 : weights), state + weights);
  }

  void finish() {
    totals_.model_flop = totals_.forward_flop + totals_.backward_flop;
    totals_.step = totals_.compute + totals_.optimizer + totals_.host;
    totals_.tokens = Tokens(symbol(Symbol::batch) * symbol(Symbol::query) * sizes_.micro_batches);
    if (totals_.step.value() > 0) {  // (5.4) with E03
      totals_.mfu = totals_.model_flop.value() * sizes_.seconds_per_flop / totals_.step.value();
      totals_.hfu = totals_.hardware_flop.value() * sizes_.seconds_per_flop / totals_.step.value();
    }
  }

  const Structure& structure_;
  const Sizes& sizes_;
  Details* details_;
  Values values_;
  MemoryPlan plan_;
  Totals totals_;
};

}  // namespace

Totals evaluate(const Structure& structure, const Sizes& sizes, Details* details) {
  return Evaluation(structure, sizes, details).run();
}

Totals evaluate(const Scenario& scenario, bool training, Details* details) {
  return evaluate(cached_structure(choices_of(scenario, training)), sizes_of(scenario, training), details);
}

}  // namespace dtcalc
