// Which tensors are dropped after the forward pass, and which operators make them again. Called by lower.cpp.
#pragma once

#include <vector>

#include "costmodel/graph/graph.hpp"
#include "costmodel/lower/rules.hpp"

namespace dtcalc {

/// Whether the forward pass drops a tensor that the backward pass may read.
bool is_dropped(const Tensor& tensor, Recompute recompute);

/// The backward list with the forward operators that must run again put before their first reader.
std::vector<Operator> with_recomputation(const Segment& segment, const Choices& choices, ExtentTable& extents);

/// What selective checkpointing per operator keeps: every second product's result, from the first on, and what fused
/// attention hands to its backward pass.
Segment with_kept_results(Segment segment, const Choices& choices);

}  // namespace dtcalc
