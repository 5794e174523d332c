// The numbers of a parallel layout, and what each pipeline stage holds. Made by sizes_of; read by evaluate, which walks
// the distinct stages, and by the simulator.
//
// Ranks are numbered as Megatron-LM does: tensor-parallel neighbours are next to each other, then the context ring,
// then data-parallel replicas, then pipeline stages.
#pragma once

#include <array>
#include <cstdint>

#include "costmodel/communication/collective.hpp"
#include "costmodel/graph/graph.hpp"

namespace dtcalc {

inline constexpr int kMaxBlockKinds = 3;

struct Layout {
  std::int64_t tensor = 1, context = 1, pipeline = 1, chunks = 1, data = 1;
  bool counted_ends = false;  ///< embedding and head take the place of a layer each
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int zero = 0;
  std::int64_t layers = 1;        ///< of the whole model
  std::int64_t global_every = 0;  ///< of each n layers the last is global; 0: all layers are of one sort
  bool windowed = false;          ///< local layers exist
  RankGroup tensor_group, context_group, data_group, pipeline_group;  ///< data: data x context ranks reduce gradients
  Fabric fabric;
  bool overlap_gradients = false, overlap_parameters = false;

  std::int64_t replicas_of_states() const { return data * context; }  ///< ranks that hold the same parameters
  /// From ZeRO 2 on a rank keeps its share of the gradients only, so no micro-batch's can wait for the next one's.
  bool reduces_every_micro_batch() const { return zero >= 2; }
};

/// For serving one replica; evaluation runs on one device.
Layout layout_of(const Scenario& scenario, Work work);

/// What one stage holds: layers by block kind, of all its chunks.
struct StageShape {
  std::array<std::int64_t, kMaxBlockKinds> layers{};
  bool prologue = true, epilogue = true;
  friend bool operator==(const StageShape&, const StageShape&) = default;
};

/// Stages take L / P layers each; where P does not divide L, the stages in the middle take one more. With
/// `counted_ends` every chunk takes (L + 2) / (P v) places, of which the model's first is the embedding's and its last
/// the head's (Megatron-LM, account_for_embedding_in_pipeline_split and account_for_loss_in_pipeline_split). A chunk
/// begins with a layer that is handed the residual stream alone, as the model's first layer is.
StageShape stage_shape(const Layout& layout, std::int64_t stage);

/// What one of the stage's chunks holds; the stage's are the sum of its chunks'.
StageShape chunk_shape(const Layout& layout, std::int64_t stage, std::int64_t chunk);

/// The first stage after `stage` whose shape may differ; of equal stages the first holds most micro-batches.
std::int64_t next_shape(const Layout& layout, std::int64_t stage);

/// Layers of each kind on all stages together.
std::array<std::int64_t, kMaxBlockKinds> all_layers(const Layout& layout);

}  // namespace dtcalc
