#include "engine/binding.hpp"

#include <fmt/format.h>

namespace dtcalc {
namespace {

void bind(Binding& b, const Model& model) {
  evaluate_extents(*b.structure, b.sizes.symbol, b.values);
  plan_memory(*b.structure, b.sizes, b.values.data(), b.plan);
  b.layers = model.layers;
  std::int64_t slots = 0;
  ParameterElements elements;
  elements.frozen = b.plan.elements.trained;
  for (std::int64_t layer = -1; layer <= model.layers; ++layer) {
    const int kinds = static_cast<int>(b.structure->blocks.size());
    const int index = layer < 0 ? 0 : layer < model.layers ? 1 + kind_of_layer(model, layer) : 1 + kinds;
    b.segment_index.push_back(index);
    b.parameter_start.push_back(elements);
    b.slot_start.push_back(slots);
    elements.trained += b.plan.segment[index].elements.trained;
    elements.frozen += b.plan.segment[index].elements.frozen;
    slots += b.plan.segment[index].slot_bytes;
  }
}

}  // namespace

Binding bind_training(const Scenario& scenario, std::int64_t guard) {
  Binding b;
  b.structure = &cached_structure(choices_of(scenario, true));
  b.sizes = sizes_of(scenario, true);
  b.sizes.guard = guard;
  bind(b, scenario.model);
  return b;
}

Binding bind_forward(const Scenario& scenario, const Binding& training, std::int64_t batch, std::int64_t sequence) {
  Scenario forward = scenario;
  forward.inference.batch = batch;
  forward.inference.prompt_tokens = sequence;
  forward.inference.precision = training.sizes.product_dtype;
  Binding b;
  b.structure = &cached_structure(choices_of(forward, false));
  b.sizes = sizes_of(forward, false);
  b.sizes.guard = training.sizes.guard;
  bind(b, scenario.model);
  b.shift = training.plan.tokens - b.plan.tokens;
  // Kernels use the workspace of training meanwhile, so what would reach into it begins behind it.
  if (training.sizes.workspace.value() > 0 && b.plan.total + b.shift > training.plan.workspace)
    b.shift = training.plan.scratch - b.plan.tokens;
  return b;
}

const LoweredSegment& segment_of(const Binding& b, std::int64_t layer) {
  const int index = b.segment_index[static_cast<std::size_t>(layer + 1)];
  const int kinds = static_cast<int>(b.structure->blocks.size());
  return index == 0 ? b.structure->prologue : index <= kinds ? b.structure->blocks[index - 1] : b.structure->epilogue;
}

std::int64_t element_of(const Binding& b, std::int64_t layer, std::size_t i) {
  const std::size_t at = static_cast<std::size_t>(layer + 1);
  const ParameterElements& start = b.parameter_start[at];
  const bool trained = segment_of(b, layer).parameters[i].trained;
  return (trained ? start.trained : start.frozen) + b.plan.segment[b.segment_index[at]].parameter[i];
}

std::vector<ParameterView> list_parameters(const Binding& b) {
  std::vector<ParameterView> list;
  for (std::int64_t layer = -1; layer <= b.layers; ++layer) {
    const LoweredSegment& s = segment_of(b, layer);
    const bool block = layer >= 0 && layer < b.layers;
    for (std::size_t i = 0; i < s.parameters.size(); ++i) {
      const ParameterTensor& p = s.parameters[i];
      if (p.tied) continue;
      ParameterView view;
      std::string stem(text(p.name));
      if (block) stem = fmt::format("block.{}.{}", layer, stem.substr(std::string_view("block.").size()));
      view.name = stem + "." + p.suffix;
      view.op = p.name;
      view.suffix = p.suffix;
      view.layer = block ? layer : -1;
      view.offset = element_of(b, layer, i);
      view.elements = b.values[p.extent];
      view.columns = b.values[p.columns];
      view.trained = p.trained;
      list.push_back(std::move(view));
    }
  }
  return list;
}

}  // namespace dtcalc
