#include "engine/slice.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "costmodel/report/phases.hpp"

namespace dtcalc {

Result<Scenario> slice_of(const Scenario& whole, std::int64_t blocks) {
  const Parallel& p = whole.training.parallel;
  if (blocks < 2 || blocks > whole.model.layers)
    return Error{
        "--slice", fmt::format("{}", blocks),
        fmt::format("is not between 2 and the model's {} layers: the first block begins otherwise than the rest",
                    whole.model.layers),
        "give 2 or more"};
  if (p.sequence || p.context > 1)
    return Error{p.sequence ? "/training/parallel/sequence" : "/training/parallel/context", "",
                 "leaves a rank parts of a sequence, which a slice does not run",
                 p.sequence ? "set training.parallel.sequence=false" : "set training.parallel.context=1"};
  Scenario s = whole;
  Model& m = s.model;
  m.name = fmt::format("{}, {} blocks of one of {} tensor-parallel ranks", m.name, blocks, p.tensor);
  m.layers = blocks;
  m.heads /= p.tensor;
  m.kv_heads = std::max<std::int64_t>(1, m.kv_heads / p.tensor);
  m.mlp_size /= p.tensor;
  m.vocabulary_size = (m.vocabulary_size + p.tensor - 1) / p.tensor;
  s.cluster = {};
  s.training.parallel = {};
  s.training.global_batch = s.training.micro_batch;
  return s;
}

WholeFromSlice whole_from_slice(const Scenario& whole, const Validation& slice, std::int64_t blocks) {
  Details details;
  const Totals predicted = evaluate(whole, true, &details);
  WholeFromSlice w;
  w.devices = predicted.devices;
  w.tensor = whole.training.parallel.tensor;
  w.layers = whole.model.layers;
  w.blocks = blocks;
  w.predicted_s = predicted.step.value();
  w.communication_s = predicted.exposed.value();
  double by_model = 0;  // the groups that the slice ran, as predicted
  for (const GroupItem& item : details.groups)
    for (const GroupComparison& g : slice.groups)
      if (g.name == text(item.group->name) && g.phase == report::name_of_phase(item.group->phase) &&
          g.predicted_s > 0) {
        const double seconds = item.seconds * static_cast<double>(item.count);
        by_model += seconds;
        w.compute_s += seconds * g.measured_s / g.predicted_s;
      }
  // Groups that the slice does not have are collectives: their time is `exposed` already.
  const double bubble = by_model > 0 ? predicted.bubble.value() * w.compute_s / by_model : 0;
  w.other_s = bubble + (predicted.step.value() - predicted.exposed.value() - predicted.bubble.value() - by_model);
  w.step_s = w.compute_s + w.communication_s + w.other_s;
  return w;
}

}  // namespace dtcalc
