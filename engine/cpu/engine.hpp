// The CPU executor as an engine. Called by make_engine.
#pragma once

#include "engine/engine.hpp"

namespace dtcalc::cpu {

/// In float or double, as the scenario's precision says. Errors: those of Executor::make.
Result<std::unique_ptr<Engine>> make_cpu_engine(const Scenario& scenario, const EngineOptions& options);

}  // namespace dtcalc::cpu
