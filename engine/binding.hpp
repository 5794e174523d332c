// A structure with its sizes, values and memory plan: everything an executor needs to walk the programs of one batch
// shape. Shared by training, evaluation and generation, which differ in structure and sizes but not in where parameters
// lie.
#pragma once

#include <string>
#include <vector>

#include "costmodel/evaluate/memory.hpp"

namespace dtcalc {

struct Binding {
  const Structure* structure = nullptr;
  Sizes sizes;
  std::array<std::int64_t, kMaxExtents> values{};
  MemoryPlan plan;
  std::int64_t shift = 0;  ///< added to the offsets of everything that is not persistent
  std::int64_t layers = 0;
  // Per segment of the model: the prologue (layer -1), the layers 0 … L-1, the epilogue (layer L); index layer + 1.
  std::vector<int> segment_index;  ///< into MemoryPlan::segment
  std::vector<ParameterElements>
      parameter_start;                   ///< trained ones and those frozen, which come behind all trained ones
  std::vector<std::int64_t> slot_start;  ///< bytes from the start of the slots

  std::int64_t symbol(Symbol s) const { return sizes.symbol[static_cast<int>(s)]; }
  std::int64_t rows() const { return symbol(Symbol::batch) * symbol(Symbol::query); }
};

/// The training step of a scenario. `guard` as in Sizes.
Binding bind_training(const Scenario& scenario, std::int64_t guard = 0);

/// The forward pass alone on `batch` sequences of `sequence` tokens, in the training precision, over the same
/// parameters: its transient buffers begin where those of `training` begin, or behind the workspace if they would
/// reach it.
Binding bind_forward(const Scenario& scenario, const Binding& training, std::int64_t batch, std::int64_t sequence);

/// One parameter tensor of one layer.
struct ParameterView {
  std::string name;  ///< `block.3.attention.query.weight`
  Name op;
  std::string suffix;       ///< weight or bias
  std::int64_t layer = -1;  ///< -1 outside the blocks
  std::int64_t offset = 0;  ///< elements from the start of the parameter region
  std::int64_t elements = 0;
  std::int64_t columns = 0;  ///< of a matrix (rows x columns, row-major); 0 for a vector
  bool trained = true;
};

/// All parameters in the order of the arena; a tied head is not listed.
std::vector<ParameterView> list_parameters(const Binding& binding);

const LoweredSegment& segment_of(const Binding& binding, std::int64_t layer);

/// Elements from the start of the parameter region to the i-th parameter of a segment.
std::int64_t element_of(const Binding& binding, std::int64_t layer, std::size_t i);

}  // namespace dtcalc
