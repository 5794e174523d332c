// Every figure of a scenario with its formula: the rows of the table view. Called by it and by its tests.
#pragma once

#include <QString>
#include <optional>
#include <string>
#include <vector>

#include "costmodel/report/explain.hpp"
#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

struct QuantityRow {
  std::string id;  ///< key of the JSON contract, or a closed form's id
  std::string title;
  std::optional<double> a, b;
  std::string a_text;  ///< what has no number: a word, true, false
  std::string unit;
  std::string formula, numbers, equation, origin;
  std::vector<report::Input> inputs;
};

/// First the keys of the JSON contract, then the closed forms whose inputs the scenario gives.
std::vector<QuantityRow> quantities(const Evaluation& a, const Evaluation* b);

/// The unit that ends a key: "B" of step_bytes, "s" of step_s, "" without one.
std::string unit_of_key(const std::string& key);

}  // namespace dtcalc::gui
