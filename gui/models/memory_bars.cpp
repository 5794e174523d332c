#include "gui/models/memory_bars.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace dtcalc::gui {
namespace {

/// The keys of the JSON contract, in the order of the stack.
constexpr std::pair<const char*, const char*> kParts[] = {
    {"parameters_bytes", "parameters"},   {"gradients_bytes", "gradients"}, {"optimizer_bytes", "optimizer"},
    {"activations_bytes", "activations"}, {"logits_bytes", "logits"},       {"kv_cache_bytes", "kv-cache"},
    {"workspace_bytes", "buffers"}};

}  // namespace

MemoryBars memory_bars(const Evaluation& evaluation) {
  const nlohmann::ordered_json& json = *evaluation.json;
  MemoryBars bars;
  for (const auto& [key, name] : kParts) bars.parts.push_back({QString::fromUtf8(name), {}});
  const auto add = [&](const QString& name, const nlohmann::ordered_json& memory, double total) {
    bars.names.push_back(name);
    for (std::size_t i = 0; i < bars.parts.size(); ++i)
      bars.parts[i].bytes.push_back(memory.value(kParts[i].first, 0.0));
    bars.totals.push_back(total);
  };
  if (json.contains("stages"))
    for (const auto& stage : json.at("stages"))
      add(QString::number(stage.at("stage").get<int>()), stage.at("memory"), stage.at("total_bytes"));
  else
    add(evaluation.scenario.has_training ? QStringLiteral("training") : QStringLiteral("serving"), json.at("memory"),
        json.at("memory").at("total_bytes"));
  if (evaluation.scenario.has_training && json.contains("inference"))
    add(QStringLiteral("serving"), json.at("inference").at("memory"),
        json.at("inference").at("memory").at("total_bytes"));
  bars.capacity = json.at("memory").at("capacity_bytes").get<double>();
  return bars;
}

report::Table to_table(const MemoryBars& bars) {
  report::Table table{{{"bar"}}, {}};
  for (const auto& [key, name] : kParts) table.columns.push_back({key});
  table.columns.push_back({"total_bytes"});
  for (std::size_t i = 0; i < bars.names.size(); ++i) {
    std::vector<std::string> row{bars.names[i].toStdString()};
    for (const MemoryPart& part : bars.parts) row.push_back(fmt::format("{}", part.bytes[i]));
    row.push_back(fmt::format("{}", bars.totals[i]));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace dtcalc::gui
