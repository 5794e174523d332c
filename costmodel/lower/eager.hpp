// What a stack moves and keeps whose norms, rotary embedding or loss are chains of elementwise kernels, as in PyTorch
// without a compiler or hand-written kernels. Called by make_structure for every lowered segment.
#pragma once

#include "costmodel/lower/rules.hpp"
#include "costmodel/lower/structure.hpp"

namespace dtcalc {

/// Adds to `lowered` the chains' traffic and launches (`fuse_norm`, `fuse_rope` off), the copies that the loss keeps
/// (`copy_logits`), and the results that selective checkpointing holds though nothing reads them
/// (`keep_unread_results`). Each stays one kernel of one group: the unit of comparison does not change.
void add_eager_copies(const Segment& segment, const Choices& choices, ExtentTable& extents, LoweredSegment& lowered);

}  // namespace dtcalc
