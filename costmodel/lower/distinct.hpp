// Kernels that cost the same under any sizes: query, key and value, a forward kernel and its replay, the kinds of
// blocks. An evaluation prices each once. Called by make_structure, last.
#pragma once

#include "costmodel/lower/structure.hpp"

namespace dtcalc {

/// Fills Structure::distinct and Kernel::price.
void find_distinct_kernels(Structure& structure);

}  // namespace dtcalc
