#include "gui/models/time_bars.hpp"

#include <algorithm>

#include "gui/models/units.hpp"

namespace dtcalc::gui {

std::vector<TimePart> step_parts(const Evaluation& evaluation) {
  const Totals& t = evaluation.estimate.totals;
  const auto exposed = [&](Axis axis) { return t.traffic[static_cast<std::size_t>(axis)].exposed.value(); };
  return {{QStringLiteral("compute"), t.compute.value()},
          {QStringLiteral("tensor, exposed"), exposed(Axis::tensor)},
          {QStringLiteral("context, exposed"), exposed(Axis::context)},
          {QStringLiteral("data, exposed"), exposed(Axis::data)},
          {QStringLiteral("bubble"), t.bubble.value()},
          {QStringLiteral("optimizer"), t.optimizer.value()},
          {QStringLiteral("host"), t.host.value()}};
}

std::vector<GroupTime> group_times(const Evaluation& evaluation) {
  std::vector<GroupTime> groups;
  for (const report::OperatorRow& row : evaluation.estimate.operators) {
    const QString name = QString::fromUtf8(row.name.data(), static_cast<qsizetype>(row.name.size()));
    auto found = std::find_if(groups.begin(), groups.end(), [&](const GroupTime& g) { return g.name == name; });
    if (found == groups.end()) found = groups.insert(groups.end(), GroupTime{name});
    double& phase = row.phase == "forward"     ? found->forward
                    : row.phase == "recompute" ? found->recompute
                    : row.phase == "backward"  ? found->backward
                                               : found->optimizer;
    phase += row.time.value();
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const GroupTime& a, const GroupTime& b) { return a.total() > b.total(); });
  return groups;
}

QString throughput_text(const Evaluation& evaluation) {
  const Scenario& s = evaluation.scenario;
  const Totals& t = evaluation.estimate.totals;
  if (s.model.input != ModelInput::image) return text_of(Unit::tokens_per_s, (t.tokens / t.step).value());
  return QStringLiteral("%1 images/s")
      .arg(text_of(Unit::count, static_cast<double>(s.training.global_batch) / t.step.value()));
}

}  // namespace dtcalc::gui
