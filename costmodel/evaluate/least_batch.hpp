// The batch from which on mixed precision needs less memory than fp32, (3.9): its master copy costs 2 bytes a parameter
// more, its activations half. Called by `estimate`.
#pragma once

#include <optional>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

struct LeastBatch {
  std::optional<std::int64_t> micro_batch;  ///< by the peaks of both; none where mixed precision never needs less
  double closed = 0;                        ///< (3.9): state and saved activations of the notes' block
};

/// Of a scenario with training: micro-batches of the same number of passes, all else unchanged.
LeastBatch mixed_precision_least_batch(const Scenario& scenario);

}  // namespace dtcalc
