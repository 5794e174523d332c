// Validation of models that do not fit: whole blocks of one tensor-parallel rank run as a model of their own, and what
// they took is carried to the whole. Called by `dtcalc validate --slice`.
#pragma once

#include <cstdint>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/validate.hpp"

namespace dtcalc {

/// The share of one tensor-parallel rank as a scenario of one device: heads / T, kv heads / T (at least one), MLP / T,
/// vocabulary / T (rounded up), `blocks` layers, one micro-batch of the same shape. Errors: fewer than two blocks or
/// more than the model has; sequence or context parallelism, whose ranks hold parts of a sequence.
Result<Scenario> slice_of(const Scenario& whole, std::int64_t blocks);

/// The whole's step with what was measured in its place.
struct WholeFromSlice {
  double predicted_s = 0;      ///< the step by the cost model alone
  double step_s = 0;           ///< every group at the slice's measured over predicted time; the rest as predicted
  double compute_s = 0;        ///< of it groups that the slice ran
  double communication_s = 0;  ///< exposed collectives, predicted
  double other_s = 0;          ///< pipeline bubble (in proportion to the groups) and host, predicted
  std::int64_t devices = 1, tensor = 1, layers = 0, blocks = 0;
};

/// `slice` is the validation of slice_of(whole, blocks).
WholeFromSlice whole_from_slice(const Scenario& whole, const Validation& slice, std::int64_t blocks);

}  // namespace dtcalc
