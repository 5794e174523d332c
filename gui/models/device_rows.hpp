// One scenario on every device preset: what `dtcalc estimate --hardware all` says. Called by the plan view's page of
// devices, on a worker.
#pragma once

#include <vector>

#include "costmodel/report/devices.hpp"
#include "gui/models/evaluation.hpp"
#include "gui/models/table_model.hpp"
#include "gui/models/worker.hpp"

namespace dtcalc::gui {

/// The document with its hardware replaced by each preset, those that fit first. Fewer when the job is stopped.
std::vector<report::DeviceEstimate> estimate_devices(const Document& document, Job& job);

/// Step time, or TPOT of a scenario without training; seconds.
double time_of(const report::DeviceEstimate& device);

/// Rows of report::to_table, sortable by value.
std::vector<Row> device_rows(const std::vector<report::DeviceEstimate>& devices);

}  // namespace dtcalc::gui
