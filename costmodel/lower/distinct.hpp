// Kernels that cost the same under any sizes: query, key and value, a forward kernel and its replay, the kinds of
// blocks; and blocks whose buffers lie alike. An evaluation prices and places each once. Called by make_structure,
// last.
#pragma once

#include "costmodel/lower/structure.hpp"

namespace dtcalc {

/// Fills Structure::distinct and Kernel::price.
void find_distinct_kernels(Structure& structure);

/// Fills Program::placed_as of the blocks. Buffers of other tensors lie alike when extents, widths and lives agree.
void find_distinct_scratch(Structure& structure);

}  // namespace dtcalc
