// Refusing a run before it starts when its predicted peak does not fit into the free memory. Called by training and
// generation; the command line turns the error into exit code 5.
#pragma once

#include <optional>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// The predicted peak of the scenario's training step against `free` bytes (none: unknown, nothing is refused). The
/// error is of kind `memory` and holds the ledger: each category in bytes and their sum.
[[nodiscard]] std::optional<Error> refuse_beyond_memory(const Scenario& scenario, std::optional<Bytes> free);

}  // namespace dtcalc
