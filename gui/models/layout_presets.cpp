#include "gui/models/layout_presets.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace dtcalc::gui {
namespace {

/// The ranks of a layout; everything else about it is left as it is.
struct Ranks {
  std::int64_t tensor = 1, pipeline = 1, context = 1, zero = 0;
  friend bool operator==(const Ranks&, const Ranks&) = default;
};

LayoutPreset preset_of(const Ranks& ranks, std::string name, std::string about) {
  return {std::move(name),
          std::move(about),
          {fmt::format("training.parallel.tensor={}", ranks.tensor),
           fmt::format("training.parallel.sequence={}", ranks.tensor > 1),
           fmt::format("training.parallel.pipeline={}", ranks.pipeline),
           fmt::format("training.parallel.context={}", ranks.context),
           fmt::format("training.parallel.zero={}", ranks.zero), "training.parallel.virtual_stages=1"}};
}

/// Ranks in the order of layout_presets.
std::vector<Ranks> all_ranks(const Cluster& cluster) {
  const std::int64_t all = devices(cluster), node = cluster.devices_per_node;
  std::vector<Ranks> list{{1, 1, 1, 0}};
  if (all == 1) return list;
  for (std::int64_t zero = 1; zero <= 3; ++zero) list.push_back({1, 1, 1, zero});
  for (std::int64_t tensor = 2; tensor <= node; tensor *= 2) list.push_back({tensor, 1, 1, 1});
  for (std::int64_t pipeline = 2; node > 1 && node * pipeline <= all && pipeline <= 64; pipeline *= 2)
    list.push_back({node, pipeline, 1, 0});
  if (node > 1) list.push_back({1, 1, node, 3});
  return list;
}

}  // namespace

std::vector<LayoutPreset> layout_presets(const Scenario& scenario) {
  std::vector<LayoutPreset> presets;
  for (const Ranks& r : all_ranks(scenario.cluster)) {
    if (r.context > 1)
      presets.push_back(
          preset_of(r, fmt::format("ring of {}, ZeRO 3", r.context), "sequences too long for one device"));
    else if (r.pipeline > 1)
      presets.push_back(preset_of(r, fmt::format("tensor {} x pipeline {}", r.tensor, r.pipeline),
                                  "tensor ranks within a node, stages across nodes"));
    else if (r.tensor > 1)
      presets.push_back(preset_of(r, fmt::format("tensor {}, ZeRO 1", r.tensor),
                                  "matrices shared within a node, data ranks across nodes"));
    else if (r.zero > 0)
      presets.push_back(preset_of(r, fmt::format("data, ZeRO {}", r.zero),
                                  r.zero == 3 ? "parameters sharded over all data ranks (FSDP)"
                                              : "optimizer state sharded over the data ranks"));
    else
      presets.push_back(preset_of(r, "data alone", "every device holds the whole model"));
  }
  return presets;
}

std::size_t present_layout(const Scenario& scenario, const std::vector<LayoutPreset>& presets) {
  const Parallel& p = scenario.training.parallel;
  if (p.virtual_stages != 1) return presets.size();
  const std::vector<Ranks> list = all_ranks(scenario.cluster);
  const auto found = std::find(list.begin(), list.end(), Ranks{p.tensor, p.pipeline, p.context, p.zero});
  return found == list.end() ? presets.size() : static_cast<std::size_t>(found - list.begin());
}

}  // namespace dtcalc::gui
