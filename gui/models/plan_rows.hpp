// The layouts that a search found, as rows of a table and as a map over two axes. Called by the plan view.
#pragma once

#include <QString>
#include <optional>
#include <vector>

#include "costmodel/plan/search.hpp"
#include "gui/models/table_model.hpp"

namespace dtcalc::gui {

/// Titles and rows of report::layout_table, sortable by value.
QStringList plan_titles();
std::vector<Row> plan_rows(const Scenario& scenario, const std::vector<PlannedLayout>& layouts);

/// An axis of the map.
enum class PlanAxis : int { tensor, pipeline, context, data, zero, micro_batch };
QString name_of(PlanAxis axis);
std::int64_t value_of(const Scenario& scenario, const PlannedLayout& layout, PlanAxis axis);

/// The best MFU of the layouts that fit, over the values that two axes take; nothing where none fits.
struct PlanMap {
  std::vector<std::int64_t> columns, rows;
  std::vector<std::vector<std::optional<double>>> mfu;  ///< [row][column]
};
PlanMap plan_map(const Scenario& scenario, const std::vector<PlannedLayout>& layouts, PlanAxis across, PlanAxis down);

/// The scenario's own layout, without its costs.
PlannedLayout layout_of(const Scenario& scenario);

}  // namespace dtcalc::gui
