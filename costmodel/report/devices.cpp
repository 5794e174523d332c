#include "costmodel/report/devices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

Seconds time_of(const Estimate& e) { return e.scenario.has_training ? e.totals.step : e.serving->decode_step; }

Bytes margin(const Estimate& e) { return e.scenario.hardware.memory - e.total; }

/// "12.3 GiB free" or "4 GiB too much".
std::string margin_text(const Estimate& e) {
  return e.fits ? fmt::format("{} free", print(margin(e))) : fmt::format("{} too much", print(Bytes(0) - margin(e)));
}

/// What a row says beside its figures.
std::string note(const DeviceEstimate& d) {
  if (!d.estimate) return describe(d.errors.front());
  if (d.estimate->ways_out.empty()) return "";
  return fmt::format("fits with --set {}", fmt::join(d.estimate->ways_out.front().set, " --set "));
}

const Estimate* first_of(const std::vector<DeviceEstimate>& devices) {
  for (const DeviceEstimate& d : devices)
    if (d.estimate) return &*d.estimate;
  return nullptr;
}

}  // namespace

void sort_by_fit(std::vector<DeviceEstimate>& devices) {
  const auto key = [](const DeviceEstimate& d) {
    return std::make_tuple(!d.estimate, d.estimate && !d.estimate->fits,
                           d.estimate ? time_of(*d.estimate).value() : 0.0);
  };
  std::stable_sort(devices.begin(), devices.end(),
                   [&](const DeviceEstimate& a, const DeviceEstimate& b) { return key(a) < key(b); });
}

ordered_json to_json(const std::vector<DeviceEstimate>& devices) {
  ordered_json document{{"schema", "dtcalc.devices/1"}, {"devices", ordered_json::array()}};
  for (const DeviceEstimate& d : devices) {
    ordered_json row{{"id", d.id}};
    if (d.estimate) {
      const Estimate& e = *d.estimate;
      row["name"] = e.scenario.hardware.name;
      row["fits"] = e.fits;
      row["total_bytes"] = e.total.value();
      row["capacity_bytes"] = e.scenario.hardware.memory.value();
      row["margin_bytes"] = margin(e).value();
      if (e.scenario.has_training) {
        row["step_s"] = e.totals.step.value();
        row["tokens_per_s"] = (e.totals.tokens / e.totals.step).value();
        row["mfu"] = e.totals.mfu;
      }
      if (e.serving) {
        row["prefill_s"] = e.serving->prefill.value();
        row["decode_step_s"] = e.serving->decode_step.value();
        row["max_batch"] = e.serving->max_batch;
      }
      row["origin"] = origin_of(e.scenario);
      if (!e.ways_out.empty()) {
        const WayOut& way = e.ways_out.front();
        row["way_out"] = {{"set", way.set}, {"total_bytes", way.total.value()}, {"step_s", way.step.value()}};
      }
    } else {
      row["errors"] = ordered_json::array();
      for (const Error& error : d.errors) row["errors"].push_back(describe(error));
    }
    document["devices"].push_back(std::move(row));
  }
  return document;
}

Table to_table(const std::vector<DeviceEstimate>& devices) {
  Table table{{{"device"}, {"fits"}, {"memory", Align::right}, {"margin", Align::right}}, {}};
  const Estimate* first = first_of(devices);
  const bool training = first && first->scenario.has_training, serving = first && first->serving.has_value();
  if (training) table.columns.insert(table.columns.end(), {{"step", Align::right}, {"MFU", Align::right}});
  if (serving)
    table.columns.insert(table.columns.end(),
                         {{"TTFT", Align::right}, {"TPOT", Align::right}, {"largest batch", Align::right}});
  table.columns.push_back({""});
  for (const DeviceEstimate& d : devices) {
    std::vector<std::string> row{d.id};
    if (d.estimate) {
      const Estimate& e = *d.estimate;
      row.insert(row.end(), {e.fits ? "yes" : "no", print(e.total), margin_text(e)});
      if (training) row.insert(row.end(), {print(e.totals.step), fmt::format("{:.1f} %", 100 * e.totals.mfu)});
      if (serving)
        row.insert(row.end(),
                   {print(e.serving->prefill), print(e.serving->decode_step), std::to_string(e.serving->max_batch)});
    }
    row.resize(table.columns.size() - 1, "-");
    row.push_back(note(d));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string to_text(const std::vector<DeviceEstimate>& devices, const TextOptions& options) {
  const Estimate* first = first_of(devices);
  std::string title = first ? first->scenario.model.name : "";
  if (first && first->scenario.has_training) {
    const Training& t = first->scenario.training;
    title += fmt::format(": a step of {} sequence{} of {} tokens", t.global_batch, t.global_batch == 1 ? "" : "s",
                         t.sequence);
  }
  if (first && first->serving) {
    const Inference& i = first->scenario.inference;
    title += fmt::format("{} {} x ({} prompt + {} new) tokens served", first->scenario.has_training ? ";" : ":",
                         i.batch, i.prompt_tokens, i.new_tokens);
  }
  return fmt::format("{}{}{}\n\n{}", options.colour ? "\x1b[1m" : "", title, options.colour ? "\x1b[0m" : "",
                     text(to_table(devices), 2));
}

}  // namespace dtcalc::report
