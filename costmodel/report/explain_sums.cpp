#include "costmodel/report/explain_sums.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "costmodel/graph/graph.hpp"
#include "costmodel/report/phases.hpp"

namespace dtcalc::report {
namespace {

struct Text {
  std::string formula, numbers;
  double value;
};

/// An extent in the notes' letters, with the sizes of one rank or of the whole model.
Text spell(const Extent& extent, const std::array<std::int64_t, kSymbols>& size) {
  static constexpr std::array<std::string_view, kSymbols> letters{"B",           "S",
                                                                  "S",           "S",
                                                                  "window",      "D",
                                                                  "A",           "G",
                                                                  "H",           "F",
                                                                  "V",           "K",
                                                                  "qk_pairs",    "local_qk_pairs",
                                                                  "qk_pairs",    "local_qk_pairs",
                                                                  "qk_products", "local_qk_products",
                                                                  "qk_products", "local_qk_products",
                                                                  "patches",     "P^2*C",
                                                                  "outputs",     "candidates",
                                                                  "r",           "N",
                                                                  "N_trained"};
  std::vector<std::string> names, values;
  double value = static_cast<double>(extent.factor);
  if (extent.factor != 1 || extent.length == 0) names.push_back(std::to_string(extent.factor)), values = names;
  for (std::size_t i = 0; i < extent.length; ++i) {
    const auto symbol = static_cast<std::size_t>(extent.symbols[i]);
    names.emplace_back(letters[symbol]);
    values.push_back(std::to_string(size[symbol]));
    value *= static_cast<double>(size[symbol]);
  }
  return {fmt::format("{}", fmt::join(names, "*")), fmt::format("{}", fmt::join(values, "*")), value};
}

/// Segments of a stage with how often each runs there.
void for_segments(const Structure& structure, const StageShape& shape,
                  const std::function<void(const LoweredSegment&, std::int64_t)>& f) {
  f(structure.prologue, shape.prologue ? 1 : 0);
  for (std::size_t k = 0; k < structure.blocks.size(); ++k) f(structure.blocks[k], shape.layers[k]);
  f(structure.epilogue, shape.epilogue ? 1 : 0);
}

StageShape whole(const EvaluatedTower& t) { return {t.sizes.layers, true, true}; }

/// Adds a summand, or its repetitions to the one with the same name and formula.
void join(Summands& summands, Summand summand) {
  for (Summand& s : summands)
    if (s.name == summand.name && s.formula == summand.formula && s.numbers == summand.numbers) {
      s.repeat += summand.repeat;
      s.value += summand.value;
      return;
    }
  summands.push_back(std::move(summand));
}

/// "policy: block.mlp.up.weight".
std::string full_name(const EvaluatedTower& t, std::string_view name, std::string_view suffix) {
  return fmt::format("{}{}{}{}{}", t.tower.name, t.tower.name.empty() ? "" : ": ", name, suffix.empty() ? "" : ".",
                     suffix);
}

void add_parameters(Summands& sum, const EvaluatedTower& t, const StageShape& shape, bool on_device,
                    const std::function<bool(const ParameterTensor&)>& counts) {
  const Sizes& sizes = t.sizes;
  for_segments(*t.structure, shape, [&](const LoweredSegment& s, std::int64_t repeat) {
    if (repeat == 0) return;
    for (const ParameterTensor& p : s.parameters) {
      if (!counts(p)) continue;
      const Text text_of = spell(t.structure->extents[p.extent], on_device ? sizes.symbol : sizes.whole_symbol);
      join(sum, {full_name(t, text(p.name), p.suffix), text_of.formula, text_of.numbers, repeat,
                 text_of.value * static_cast<double>(repeat)});
    }
  });
}

}  // namespace

Summands one(const char* name, const char* formula, double value) { return {{name, formula, "", 1, value}}; }

Summands parameter_summands(const Evaluated& e, Counted counted) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers)
    if (!t.tower.borrows_weights)
      add_parameters(sum, t, whole(t), false, [&](const ParameterTensor& p) {
        if (p.tied) return false;
        return counted == Counted::all || (counted == Counted::trained ? p.trained : p.embedding);
      });
  return sum;
}

Summands layer_summands(const Evaluated& e) {
  const EvaluatedTower& t = e.towers.front();
  StageShape last{{}, false, false};
  for (std::size_t k = 0; k < t.structure->blocks.size(); ++k)
    if (t.sizes.layers[k] > 0) last.layers = {}, last.layers[k] = 1;
  Summands sum;
  add_parameters(sum, t, last, false, [](const ParameterTensor& p) { return !p.tied; });
  return sum;
}

Summands device_summands(const Evaluated& e) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers) {
    if (t.tower.borrows_weights) continue;
    const Layout& l = t.sizes.layout;
    add_parameters(sum, t, stage_shape(l, t.totals.peak.stage), true,
                   [&](const ParameterTensor& p) { return !p.tied || l.pipeline > 1; });
  }
  return sum;
}

Summands saved_summands(const Evaluated& e) {
  Summands sum;
  const int phase = e.towers[static_cast<std::size_t>(e.totals.peak.tower)].tower.phase;
  for (const EvaluatedTower& t : e.towers) {
    if (t.tower.phase != phase) continue;
    const Layout& l = t.sizes.layout;
    const std::int64_t stage = t.totals.peak.stage;
    const std::int64_t live =
        l.pipeline > 1 ? live_chunks(l.schedule, l.pipeline, l.chunks, t.sizes.micro_batches, stage) : 1;
    for_segments(*t.structure, stage_shape(l, stage), [&](const LoweredSegment& s, std::int64_t layers) {
      const std::int64_t repeat = layers * live / l.chunks;
      if (repeat == 0) return;
      for (const SavedTensor& saved : s.saved) {
        const Tensor& tensor = s.tensors[saved.tensor];
        const Text of = spell(t.structure->extents[saved.extent], t.sizes.symbol);
        const double bytes = t.sizes.half_bytes[static_cast<std::size_t>(saved.width)] / 2.0;
        join(sum, {full_name(t, text(tensor.name), tensor.suffix), fmt::format("{}*{:g}", of.formula, bytes),
                   fmt::format("{}*{:g}", of.numbers, bytes), repeat, of.value * bytes * static_cast<double>(repeat)});
      }
    });
  }
  return sum;
}

Summands product_summands(const Evaluated& e, bool forward, bool backward) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers) {
    const Graph graph = build_graph(t.structure->choices);
    const auto add = [&](const Segment& segment, std::int64_t layers) {
      const auto times = static_cast<std::int64_t>(t.repetitions);
      const std::int64_t repeat = layers * t.sizes.micro_batches * t.sizes.layout.data * times;
      const auto list = [&](const std::vector<Operator>& operators) {
        for (const Operator& op : operators) {
          if (op.flop.factor == 0 || repeat == 0) continue;
          const Text of = spell(op.flop, t.sizes.whole_symbol);
          const bool weights = op.kind == OperatorKind::product;  // scores and context multiply two activations
          const char* which = op.pass == Pass::forward ? ""
                              : op.pass == Pass::weight_gradient
                                  ? (weights ? " (weight gradient)" : " (second gradient)")
                                  : (weights ? " (input gradient)" : " (first gradient)");
          join(sum, {fmt::format("{}{}", full_name(t, text(op.name), ""), which), of.formula, of.numbers, repeat,
                     of.value * static_cast<double>(repeat)});
        }
      };
      if (forward) list(segment.forward);
      if (backward) list(segment.backward);
    };
    add(graph.prologue, 1);
    for (std::size_t k = 0; k < graph.blocks.size(); ++k) add(graph.blocks[k], t.sizes.layers[k]);
    add(graph.epilogue, 1);
  }
  return sum;
}

Summands executed_summands(const Evaluated& e, bool recomputed) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers) {
    const Layout& l = t.sizes.layout;
    const std::int64_t ranks = t.sizes.micro_batches * l.data * l.context * l.tensor;
    const int kinds = static_cast<int>(t.structure->blocks.size());
    for (const GroupItem& item : t.details.groups) {
      const Phase phase = item.group->phase;
      if (!(item.flop > 0) || phase == Phase::optimizer || (recomputed && phase != Phase::recompute)) continue;
      const bool block = item.segment >= 1 && item.segment <= kinds;
      const std::int64_t layers = block ? t.sizes.layers[static_cast<std::size_t>(item.segment - 1)] : 1;
      const std::int64_t repeat = layers * ranks * static_cast<std::int64_t>(t.repetitions);
      join(sum, {fmt::format("{} ({})", full_name(t, text(item.group->name), ""), name_of_phase(phase)), "", "", repeat,
                 item.flop * static_cast<double>(repeat)});
    }
  }
  return sum;
}

Summands time_summands(const Evaluated& e, Part part) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers)
    for (const GroupItem& item : t.details.groups) {
      const bool communicates = item.bound == Bound::communication && item.kernels == 0;
      const bool optimizer = item.group->phase == Phase::optimizer;
      if (communicates || (part == Part::compute && optimizer) || (part == Part::optimizer && !optimizer)) continue;
      const std::int64_t repeat = item.count * t.tower.runs;
      const double launches = item.kernels * t.sizes.rates.gap_s;
      const double each = part == Part::launches ? launches : item.seconds - launches;
      if (each > 0 && repeat > 0)
        join(sum, {fmt::format("{} ({})", full_name(t, text(item.group->name), ""), name_of_phase(item.group->phase)),
                   "", "", repeat, each * static_cast<double>(repeat)});
    }
  return sum;
}

Summands group_summands(const EvaluatedTower& t) {
  Summands sum;
  for (const GroupItem& item : t.details.groups)
    if (item.seconds > 0 && item.count > 0)
      join(sum,
           {std::string(text(item.group->name)), "", "", item.count, item.seconds * static_cast<double>(item.count)});
  return sum;
}

}  // namespace dtcalc::report
