#include "gui/models/device_rows.hpp"

#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/load.hpp"

namespace dtcalc::gui {
namespace {

/// What a column sorts by where its text is no number.
std::optional<double> sort_value(const report::DeviceEstimate& device, const std::string& title) {
  if (!device.estimate) return std::nullopt;
  const report::Estimate& e = *device.estimate;
  if (title == "memory") return static_cast<double>(e.total.value());
  if (title == "margin") return static_cast<double>((e.scenario.hardware.memory - e.total).value());
  if (title == "step") return e.totals.step.value();
  if (title == "MFU") return e.totals.mfu;
  if (title == "TTFT") return e.serving->prefill.value();
  if (title == "TPOT") return e.serving->decode_step.value();
  if (title == "largest batch") return static_cast<double>(e.serving->max_batch);
  return std::nullopt;
}

}  // namespace

std::vector<report::DeviceEstimate> estimate_devices(const Document& document, Job& job) {
  std::vector<report::DeviceEstimate> devices;
  const std::vector<Preset> presets = list_presets(PresetKind::hardware, data_dir());
  for (const Preset& preset : presets) {
    if (job.stop) break;
    nlohmann::json changed = *document.json;
    changed["hardware"] = preset.name;
    report::DeviceEstimate device{preset.name, std::nullopt, {}};
    if (const Result<Scenario> scenario = load_scenario(changed, {data_dir(), document.base}))
      device.estimate = report::estimate(*scenario);
    else
      device.errors = scenario.errors();
    devices.push_back(std::move(device));
    job.done = static_cast<double>(devices.size()) / static_cast<double>(presets.size());
  }
  report::sort_by_fit(devices);
  return devices;
}

double time_of(const report::DeviceEstimate& device) {
  if (!device.estimate) return 0;
  const report::Estimate& e = *device.estimate;
  return (e.scenario.has_training ? e.totals.step : e.serving->decode_step).value();
}

std::vector<Row> device_rows(const std::vector<report::DeviceEstimate>& devices) {
  const report::Table table = report::to_table(devices);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    Row row;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const QString text = QString::fromStdString(table.rows[i][c]);
      const auto sort = sort_value(devices[i], table.columns[c].title);
      row.cells.push_back(sort ? cell(text, *sort) : cell(text));
    }
    row.tip = QString::fromStdString(table.rows[i].back());
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace dtcalc::gui
