// Kernels that a stack launches as one though the graph keeps them apart, because their results are tensors of their
// own: query, key and value as one product, gate and up, the small kernels around the cache. Called by make_structure.
#pragma once

#include "costmodel/graph/graph.hpp"
#include "costmodel/lower/structure.hpp"

namespace dtcalc {

/// Marks the kernels that share the launch of an earlier one (`Kernel::joined`), and the products with weights of a
/// block (`Kernel::block_weight`). FLOPs, bytes and saved tensors stay what they are.
void join_launches(LoweredSegment& block, const Choices& choices);

}  // namespace dtcalc
