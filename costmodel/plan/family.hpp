// Models of many sizes that are shaped like a given one, and batches to try with them. Called by the plan for a loss.
#pragma once

#include <cstdint>
#include <vector>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Models like `shape` with 4 to 256 heads, by size: heads of its width, layers in its proportion to the hidden size
/// (in fours, so that they divide into pipeline stages), MLP in its proportion (in 128ths), its grouping of key heads,
/// its vocabulary; and `shape` itself. From about 10 million to 3 trillion parameters for heads of 128.
std::vector<Model> model_family(const Model& shape);

/// Sequences of a step that divide over `devices`: powers of two up to 2^24 tokens, and those times the odd part of
/// `devices`; ascending.
std::vector<std::int64_t> batch_ladder(std::int64_t devices, std::int64_t sequence);

}  // namespace dtcalc
