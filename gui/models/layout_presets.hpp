// Layouts by name, made for the scenario's cluster: what the scenario panel offers beside the presets of files. Each is
// a list of overrides; the library says which of them it takes.
#pragma once

#include <string>
#include <vector>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::gui {

struct LayoutPreset {
  std::string name;              ///< "tensor 8 x pipeline 4"
  std::string about;             ///< when it is used
  std::vector<std::string> set;  ///< every key of /training/parallel that tells layouts apart
};

/// Data ranks alone with each ZeRO stage, tensor ranks within a node, those with pipeline stages, a ring of context
/// ranks: for one device only the first.
std::vector<LayoutPreset> layout_presets(const Scenario& scenario);

/// The preset that the scenario's layout is; its size when it is none of them.
std::size_t present_layout(const Scenario& scenario, const std::vector<LayoutPreset>& presets);

}  // namespace dtcalc::gui
