#include "gui/models/plan_rows.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "costmodel/plan/report.hpp"

namespace dtcalc::gui {
namespace {

/// What a column sorts by where its text is no number.
std::optional<double> sort_value(const PlannedLayout& layout, const std::string& title) {
  const Totals& t = layout.totals;
  if (title == "memory") return static_cast<double>(t.total.value());
  if (title == "step") return t.step.value();
  if (title == "MFU") return t.mfu;
  return std::nullopt;
}

}  // namespace

QStringList plan_titles() {
  QStringList titles;
  for (const report::Column& column : report::Table(layout_table({}, {})).columns)
    titles << QString::fromStdString(column.title);
  return titles;
}

std::vector<Row> plan_rows(const Scenario& scenario, const std::vector<PlannedLayout>& layouts) {
  const report::Table table = layout_table(scenario, layouts);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    Row row;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const QString text = QString::fromStdString(table.rows[i][c]);
      bool number = false;
      const double value = text.toDouble(&number);
      if (const auto sort = sort_value(layouts[i], table.columns[c].title))
        row.cells.push_back(cell(text, *sort));
      else
        row.cells.push_back(number ? cell(text, value) : cell(text));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

QString name_of(PlanAxis axis) {
  static constexpr std::array<const char*, 6> names{"tensor (T)", "pipeline (P)", "context (R)",
                                                    "data",       "ZeRO stage",   "micro-batch (B)"};
  return QString::fromUtf8(names.at(static_cast<std::size_t>(axis)));
}

std::int64_t value_of(const Scenario& scenario, const PlannedLayout& layout, PlanAxis axis) {
  switch (axis) {
    case PlanAxis::tensor:
      return layout.parallel.tensor;
    case PlanAxis::pipeline:
      return layout.parallel.pipeline;
    case PlanAxis::context:
      return layout.parallel.context;
    case PlanAxis::data:
      return data_parallel(with_layout(scenario, layout));
    case PlanAxis::zero:
      return layout.parallel.zero;
    case PlanAxis::micro_batch:
      return layout.micro_batch;
  }
  return 0;
}

PlanMap plan_map(const Scenario& scenario, const std::vector<PlannedLayout>& layouts, PlanAxis across, PlanAxis down) {
  const std::size_t n = layouts.size();
  std::vector<std::int64_t> x(n), y(n);
  std::set<std::int64_t> columns, rows;
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = value_of(scenario, layouts[i], across), y[i] = value_of(scenario, layouts[i], down);
    columns.insert(x[i]), rows.insert(y[i]);
  }
  PlanMap map{{columns.begin(), columns.end()}, {rows.begin(), rows.end()}, {}};
  map.mfu.assign(map.rows.size(), std::vector<std::optional<double>>(map.columns.size()));
  const auto place = [](const std::vector<std::int64_t>& values, std::int64_t value) {
    return static_cast<std::size_t>(std::lower_bound(values.begin(), values.end(), value) - values.begin());
  };
  for (std::size_t i = 0; i < n; ++i) {
    std::optional<double>& best = map.mfu[place(map.rows, y[i])][place(map.columns, x[i])];
    best = std::max(best.value_or(0), layouts[i].totals.mfu);
  }
  return map;
}

PlannedLayout layout_of(const Scenario& scenario) {
  const Training& t = scenario.training;
  return {t.parallel, t.micro_batch, t.recompute, {}};
}

}  // namespace dtcalc::gui
