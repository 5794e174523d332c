// Puts the segments of a graph together and differentiates them.
#include "costmodel/graph/builder.hpp"

namespace dtcalc {
namespace {

bool any_trained(const Segment& segment) {
  for (const Tensor& t : segment.tensors)
    if (t.trained) return true;
  return false;
}

}  // namespace

Graph build_graph(const Choices& choices) {
  Graph graph;
  Builder(choices, graph.prologue).prologue();
  const auto add_block = [&](bool first, bool local) {
    Segment segment;
    segment.first = first;
    segment.local = local;
    Builder(choices, segment).block();
    graph.blocks.push_back(std::move(segment));
  };
  add_block(true, choices.first_is_local);
  if (!choices.one_layer) {
    if (choices.windowed) add_block(false, true);
    if (!choices.windowed || choices.mixed_windows) add_block(false, false);
  }
  Builder(choices, graph.epilogue).epilogue();
  const auto cast_operands = [&] {
    if (!choices.quantize) return;
    for (Segment& block : graph.blocks) quantize(block);
  };
  if (!choices.training) {
    cast_operands();
    return graph;
  }

  const bool before_blocks = any_trained(graph.prologue);
  bool before_later = before_blocks;
  for (const Segment& block : graph.blocks) before_later = before_later || any_trained(block);
  differentiate(graph.prologue, false);
  for (Segment& block : graph.blocks) differentiate(block, block.first && !choices.cut ? before_blocks : before_later);
  differentiate(graph.epilogue, before_later);
  cast_operands();
  return graph;
}

bool is_local(const Model& model, std::int64_t layer) {
  return model.sliding_window > 0 && (model.global_layer_every == 0 || (layer + 1) % model.global_layer_every != 0);
}

int kind_of_layer(const Model& model, std::int64_t layer) {
  if (layer == 0) return 0;
  return model.sliding_window > 0 && !is_local(model, layer) ? 2 : 1;
}

int block_kinds(const Model& model) {
  if (model.layers == 1) return 1;
  return model.sliding_window > 0 && model.global_layer_every > 0 ? 3 : 2;
}

}  // namespace dtcalc
