// The stacked bars of the memory view: a bar per pipeline stage, and one for serving. Bytes of one device.
#pragma once

#include <QString>
#include <vector>

#include "costmodel/report/table.hpp"
#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

struct MemoryPart {
  QString name;               ///< parameters, gradients, optimizer, activations, logits, kv-cache, buffers
  std::vector<double> bytes;  ///< for every bar
};

struct MemoryBars {
  std::vector<QString> names;  ///< of the bars
  std::vector<MemoryPart> parts;
  std::vector<double> totals;
  double capacity = 0;
};

MemoryBars memory_bars(const Evaluation& evaluation);
report::Table to_table(const MemoryBars& bars);

}  // namespace dtcalc::gui
