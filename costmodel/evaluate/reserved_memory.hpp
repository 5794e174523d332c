// What a stack's allocator holds after a few training steps: the ledger's buffers, requested and freed in the order of
// their lifetimes, on a model of that allocator. Called by `estimate` where the software profile names an allocator.
//
// The sequence is that of the structure's programs: scratch lives from its first to its last kernel, saved tensors from
// the kernel that writes them to their last reader. Under ZeRO 3 the parameters are sharded as FSDP2 does (PyTorch,
// torch/distributed/fsdp/_fully_shard, and torchtitan/models/llama3/infra/parallelize.py): a unit per block and one for
// embedding and head, which stays gathered through the step; an all-gather fills a buffer of its own stream, from which
// every tensor is copied; the buffer is freed when the next all-gather has started (forward) or the copy is made
// (backward, where the next unit is gathered ahead); gradients are made whole, copied into one buffer of the width
// that they are reduced in, which lives until the next reduction, and their shards come from a third stream and live
// to the end of the step. The last block stays gathered between its passes. Moments appear with the first step.
#pragma once

#include <optional>

#include "costmodel/evaluate/evaluate.hpp"

namespace dtcalc {

struct ReservedMemory {
  Bytes reserved{0};        ///< of all segments, at the end: they never shrink
  Bytes most_allocated{0};  ///< at once, of what was asked for
};

/// On a device of the stage where `totals`, the evaluation of the same training scenario, says that memory peaks.
/// Nothing when the profile names no allocator or the step runs several models.
std::optional<ReservedMemory> reserved_memory(const Scenario& scenario, const Totals& totals);

}  // namespace dtcalc
