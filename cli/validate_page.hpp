// The page that `dtcalc validate --html` writes: one file with its charts inside, nothing loaded from elsewhere.
#pragma once

#include <optional>
#include <string>

#include "costmodel/scenario/scenario.hpp"
#include "engine/slice.hpp"
#include "engine/validate.hpp"

namespace dtcalc::cli {

/// What a group reached of the device's limits: executed FLOPs and moved bytes per measured second, over the achievable
/// rate of the scenario's dtype and the achievable bandwidth. 0 where nothing was measured or the limit is unknown.
struct Achieved {
  double compute = 0, bandwidth = 0;
};
Achieved achieved(const GroupComparison& group, const Scenario& scenario);

std::string validation_page(const Validation& validation, const Scenario& scenario,
                            const std::optional<WholeFromSlice>& whole);

}  // namespace dtcalc::cli
