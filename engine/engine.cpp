#include "engine/engine.hpp"

#include <fmt/format.h>

#include "engine/cpu/engine.hpp"
#include "engine/cuda/backend.hpp"

namespace dtcalc {

std::vector<GroupMeasurement> group_clocks(const Binding& training, std::vector<std::size_t>& from) {
  const Structure& structure = *training.structure;
  const int segments = static_cast<int>(structure.blocks.size()) + 2;
  std::vector<GroupMeasurement> clocks;
  for (int s = 0; s < segments; ++s) {
    const LoweredSegment& segment = s == 0             ? structure.prologue
                                    : s < segments - 1 ? structure.blocks[static_cast<std::size_t>(s - 1)]
                                                       : structure.epilogue;
    for (const Program* p : {&segment.forward, &segment.backward}) {
      from.push_back(clocks.size());
      for (const Group& g : p->groups) clocks.push_back({s, &g, 0, 0, 0});
    }
  }
  static const Group norm{Name::optimizer_norm, Phase::optimizer, {}},
      update{Name::optimizer_update, Phase::optimizer, {}};
  from.push_back(clocks.size());
  clocks.push_back({0, &norm, 0, 0, 0});
  clocks.push_back({0, &update, 0, 0, 0});
  return clocks;
}

Result<std::unique_ptr<Engine>> make_engine(const Scenario& scenario, const EngineOptions& options) {
  if (devices(scenario.cluster) > 1)
    return Error{"/cluster", fmt::format("{}", devices(scenario.cluster)), "devices; a run uses one",
                 "leave the cluster out, or validate one rank's share with --slice"};
  return options.device.cuda ? cuda::make_cuda_engine(scenario, options) : cpu::make_cpu_engine(scenario, options);
}

}  // namespace dtcalc
