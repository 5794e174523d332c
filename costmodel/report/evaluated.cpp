#include "costmodel/report/evaluated.hpp"

namespace dtcalc::report {
namespace {

EvaluatedTower evaluated(Tower tower) {
  EvaluatedTower e{std::move(tower), {}, {}, {}, nullptr, 1};
  const Tower& t = e.tower;
  e.structure = &cached_structure(choices_of(t.scenario, t.work));
  e.sizes = sizes_of(t.scenario, t.work, t.context);
  e.totals = evaluate(*e.structure, e.sizes, &e.details);
  return e;
}

}  // namespace

Evaluated evaluated_step(const Scenario& scenario) {
  Evaluated e{scenario, evaluate(scenario, Work::training), {}, {}};
  for (Tower& tower : towers_of(scenario)) {
    const std::int64_t replicas = is_serving(tower.work) ? data_parallel(scenario) : 1;
    const auto repetitions = static_cast<double>(tower.runs * replicas);
    e.towers.push_back(evaluated(std::move(tower)));
    e.towers.back().repetitions = repetitions;
  }
  if (e.towers.size() == 1) e.towers.front().tower.name = "";
  return e;
}

Evaluated evaluated_service(const Scenario& scenario) {
  Details prefill, decode;  // evaluated again below, with the structures that `explain` reads
  Evaluated e{scenario, {}, {}, serving_of(scenario, prefill, decode)};
  const Serving& s = *e.serving;
  e.totals = s.prefill_totals.total >= s.decode_totals.total ? s.prefill_totals : s.decode_totals;
  e.towers.push_back(evaluated({"prefill", scenario, Work::prefill, 0, 1, false, 0}));
  e.towers.push_back(evaluated({"decode", scenario, Work::decode, halfway_context(scenario.inference), 1, true, 1}));
  return e;
}

Evaluated evaluated_served_model(const Scenario& scenario) {
  Evaluated e{scenario, {}, {evaluated({"", scenario, Work::prefill, 0, 1, false, 0})}, std::nullopt};
  e.totals = e.towers.front().totals;
  return e;
}

DeviceParameters device_parameters(const EvaluatedTower& tower) {
  const Layout& l = tower.sizes.layout;
  const StageShape shape = stage_shape(l, tower.totals.peak.stage);
  const int kinds = static_cast<int>(tower.structure->blocks.size());
  std::array<std::int64_t, kMaxExtents> values;
  evaluate_extents(*tower.structure, tower.sizes.symbol, values);
  DeviceParameters sum;
  for (int i = 0; i < kinds + 2; ++i) {
    const std::int64_t repeat = i == 0 ? shape.prologue : i > kinds ? shape.epilogue : shape.layers[i - 1];
    for (const ParameterTensor& p : segment_of(*tower.structure, i).parameters) {
      if (p.tied && l.pipeline == 1) continue;
      const std::int64_t n = values[p.extent] * repeat;
      sum.all += n;
      if (p.trained) sum.trained += n;
      if (p.packed) sum.packed += n;
      if (p.trained && values[p.extent] < kSmallestScaledTensor) sum.small += n;
    }
  }
  return sum;
}

}  // namespace dtcalc::report
