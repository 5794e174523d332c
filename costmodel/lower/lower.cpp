// Graph -> structure: lowers each program by the rules, with what is computed again (recomputation.hpp), and decides
// where every tensor lives.
#include "costmodel/lower/structure.hpp"

#include <algorithm>
#include <cassert>
#include <mutex>

#include "costmodel/lower/distinct.hpp"
#include "costmodel/lower/eager.hpp"
#include "costmodel/lower/join.hpp"
#include "costmodel/lower/operands.hpp"
#include "costmodel/lower/recomputation.hpp"
#include "costmodel/lower/rules.hpp"

namespace dtcalc {
namespace {

/// Operand positions (input, output) of the kernels that may write over an input nobody needs any more.
struct InPlace {
  Contract contract;
  int input, output;
};
constexpr InPlace kInPlace[] = {
    {Contract::bias_dropout, 0, 2},
    {Contract::rope, 0, 1},
    {Contract::softmax, 0, 1},
    {Contract::mask, 0, 1},
    {Contract::norm, 0, 2},
    {Contract::activation, 0, 2},
    {Contract::activation, 1, 2},
    {Contract::softcap, 0, 1},
    {Contract::loss, 0, 3},
    {Contract::loss_backward, 0, 4},
    {Contract::dropout_backward, 0, 2},
    {Contract::activation_backward, 0, 4},
    {Contract::activation_backward, 0, 5},
    {Contract::rope_backward, 0, 1},
    {Contract::softmax_backward, 0, 4},
    {Contract::softcap_backward, 0, 2},
    {Contract::mask_backward, 0, 2},
    {Contract::add, 0, 2},
};

class Storage {
 public:
  Storage(const Segment& s, const Choices& c, ExtentTable& extents, LoweredSegment& out)
      : s_(s), c_(c), extents_(extents), out_(out) {
    for (auto& roots : roots_) {
      roots.resize(s.tensors.size());
      for (std::size_t t = 0; t < roots.size(); ++t) roots[t] = storage_of(s, static_cast<TensorId>(t));
    }
  }

  void run() {
    parameters();
    find_saved();
    if (c_.in_place) {
      join_in_place(out_.forward, out_.backward.kernels.empty());
      join_in_place(out_.backward, true);
    }
    for (Program* p : {&out_.forward, &out_.backward}) place(*p);
    saved_buffers();
    for (Program* p : {&out_.forward, &out_.backward}) traffic(*p);
  }

 private:
  struct Life {
    int first = -1, last = -1, first_write = -1;
  };

  void parameters() {
    for (std::size_t t = 0; t < s_.tensors.size(); ++t) {
      const Tensor& tensor = s_.tensors[t];
      if (tensor.role != Role::parameter) continue;
      const bool embedding = tensor.name == Name::embedding_token || tensor.name == Name::embedding_position ||
                             tensor.name == Name::head_product || tensor.name == Name::embedding_patch ||
                             tensor.name == Name::embedding_class;
      out_.parameters.push_back({static_cast<TensorId>(t), extents_.id(tensor.elements),
                                 tensor.columns.length > 0 ? extents_.id(tensor.columns) : ExtentId{0}, tensor.name,
                                 tensor.suffix, tensor.trained, tensor.width == Width::packed, tensor.tied, embedding});
    }
  }

  /// Saved: read in the backward program before anything there writes it, and neither parameter nor given.
  void find_saved() {
    saved_.assign(s_.tensors.size(), false);
    std::vector<bool> written(s_.tensors.size(), false);
    for (const Kernel& kernel : out_.backward.kernels) {
      for_operands(kernel, [&](TensorId t, const OperandRole& role) {
        if (reads(role.access) && !written[t] && s_.tensors[t].role == Role::activation && !s_.tensors[t].input)
          saved_[t] = true;
      });
      for_operands(kernel, [&](TensorId t, const OperandRole& role) {
        // A replayed segment also makes what was kept (its last output); that does not make it less kept.
        const bool makes = writes(role.access) && (!kernel.replay || is_dropped(s_.tensors[t], c_.recompute));
        written[t] = written[t] || makes;
      });
    }
    out_.input_saved = s_.residual_in != kNone && saved_[s_.residual_in];
  }

  const std::vector<TensorId>& roots(const Program& program) const { return roots_[&program == &out_.backward]; }

  std::vector<Life> lives(const Program& program) const {
    const std::vector<TensorId>& root = roots(program);
    std::vector<Life> life(s_.tensors.size());
    const int count = static_cast<int>(program.kernels.size());
    for (int k = 0; k < count; ++k)
      for_operands(program.kernels[k], [&](TensorId t, const OperandRole& role) {
        Life& l = life[root[t]];
        if (l.first < 0) l.first = k;
        if (l.first_write < 0 && writes(role.access)) l.first_write = k;
        l.last = k;
      });
    // What the neighbours give or take lives to the border.
    const auto to_end = [&](TensorId t) {
      if (t != kNone && life[root[t]].first >= 0) life[root[t]].last = count;
    };
    if (&program == &out_.forward) {
      to_end(s_.residual_out);
      to_end(s_.delta_out);
    }
    to_end(s_.gradient_out);
    return life;
  }

  /// An elementwise kernel's output takes the storage of an input whose last reader it is.
  void join_in_place(const Program& program, bool last_program) {
    std::vector<TensorId>& root = roots_[&program == &out_.backward];
    for (int k = 0; k < static_cast<int>(program.kernels.size()); ++k) {
      const Kernel& kernel = program.kernels[k];
      for (const InPlace& rule : kInPlace) {
        if (rule.contract != kernel.contract) continue;
        if (rule.contract == Contract::loss_backward && c_.copy_logits) continue;  // it is made from the copies
        const TensorId from = kernel.operands[rule.input], to = kernel.operands[rule.output];
        if (from == kNone || to == kNone || kernel.accumulate) continue;
        const Tensor &a = s_.tensors[from], &b = s_.tensors[to];
        if (!(a.elements == b.elements) || a.width != b.width || a.input || a.role == Role::parameter) continue;
        if (root[from] == root[to] || saved_in(program, from) != kNone || lives(program)[root[from]].last != k)
          continue;
        if (from == s_.gradient_in && to != s_.gradient_out && !last_program) continue;
        if (from == s_.residual_in || from == s_.delta_in) continue;  // the neighbour decides where they live
        const TensorId old = root[to];
        for (TensorId& r : root)
          if (r == old) r = root[from];
        break;
      }
    }
  }
  /// The saved tensor that shares t's storage in a program, or kNone. There is at most one: a saved tensor is never
  /// written over.
  TensorId saved_in(const Program& program, TensorId t) const {
    const std::vector<TensorId>& root = roots(program);
    for (std::size_t u = 0; u < root.size(); ++u)
      if (root[u] == root[t] && saved_[u]) return static_cast<TensorId>(u);
    return kNone;
  }

  Location fixed(const Program& program, TensorId t) const {
    const Tensor& tensor = s_.tensors[t];
    const auto parameter_index = [&](TensorId p) {
      for (std::size_t i = 0; i < out_.parameters.size(); ++i)
        if (out_.parameters[i].tensor == p) return static_cast<std::int16_t>(i);
      return std::int16_t{-1};
    };
    if (tensor.role == Role::parameter) return {Region::parameter, parameter_index(t)};
    if (tensor.role == Role::parameter_gradient) return {Region::gradient, parameter_index(tensor.gradient_of)};
    if (tensor.input) return {Region::input, static_cast<std::int16_t>(tensor.name == Name::loss_target)};
    const std::vector<TensorId>& root = roots(program);
    const auto same = [&](TensorId other) { return other != kNone && root[other] == root[t]; };
    if (const TensorId kept = saved_in(program, t); kept != kNone) return {Region::saved, saved_index(kept)};
    if (same(s_.gradient_in) || same(s_.gradient_out)) return {Region::boundary_gradient, 0};
    if (same(s_.residual_in) || same(s_.residual_out)) return {Region::boundary, 0};
    if (same(s_.delta_in) || same(s_.delta_out)) return {Region::boundary, 1};
    return {Region::scratch, -1};
  }

  std::int16_t saved_index(TensorId kept) const {
    return static_cast<std::int16_t>(std::count(saved_.begin(), saved_.begin() + kept, true));
  }

  void place(Program& program) {
    const std::vector<Life> life = lives(program);
    program.location.assign(s_.tensors.size(), {});
    std::vector<std::int16_t> buffer(s_.tensors.size(), -1);
    for (std::size_t i = 0; i < s_.tensors.size(); ++i) {
      const TensorId t = static_cast<TensorId>(i);
      const TensorId root = roots(program)[t];
      const bool persistent = s_.tensors[t].role == Role::parameter || s_.tensors[t].role == Role::parameter_gradient ||
                              s_.tensors[t].input;
      if (life[root].first < 0 && !persistent && saved_in(program, t) == kNone && t != s_.residual_in &&
          t != s_.delta_in && t != s_.gradient_in)
        continue;
      Location location = fixed(program, t);
      if (location.region == Region::scratch) {
        if (buffer[root] < 0) {
          buffer[root] = static_cast<std::int16_t>(program.scratch.size());
          program.scratch.push_back({root, extents_.id(s_.tensors[root].elements), s_.tensors[root].width,
                                     static_cast<std::int16_t>(life[root].first),
                                     static_cast<std::int16_t>(life[root].last)});
        }
        location.index = buffer[root];
      }
      program.location[t] = location;
    }
  }

  void saved_buffers() {
    for (std::size_t t = 0; t < saved_.size(); ++t)
      if (saved_[t])
        out_.saved.push_back({static_cast<TensorId>(t), extents_.id(s_.tensors[t].elements), s_.tensors[t].width});
    for (const Tensor& t : s_.tensors)
      if (t.input) out_.inputs.push_back({extents_.id(t.elements), t.width});
  }

  void traffic(Program& program) {
    for (Kernel& kernel : program.kernels) {
      kernel.traffic_begin = static_cast<std::uint16_t>(program.traffic.size());
      bool first_write = true;
      for_operands(kernel, [&](TensorId t, const OperandRole& role) {
        const Tensor& tensor = s_.tensors[t];
        Extent extent = tensor.elements;
        if (role.gathered)  // one row per token or sequence, or one element
          extent = kernel.contract == Contract::loss_target ? s_.tensors[kernel.operands[1]].elements
                   : kernel.contract == Contract::select    ? Extent{Symbol::batch, Symbol::hidden}
                                                            : Extent{Symbol::batch, Symbol::query, Symbol::hidden};
        const bool write = writes(role.access);
        const bool also_read = role.access == Access::update || (write && first_write && kernel.accumulate);
        if (write) first_write = false;
        program.traffic.push_back(
            {extents_.id(extent), tensor.width, static_cast<std::uint8_t>(reads(role.access) || also_read), write});
      });
      kernel.traffic_end = static_cast<std::uint16_t>(program.traffic.size());
      const bool second = kernel.contract == Contract::all_gather || kernel.contract == Contract::select_backward ||
                          kernel.contract == Contract::class_token;
      const TensorId loop = kernel.operands[kernel.contract == Contract::embedding ? 3 : second ? 1 : 0];
      if (loop != kNone) kernel.elements = extents_.id(s_.tensors[loop].elements);
    }
  }

  const Segment& s_;
  const Choices& c_;
  ExtentTable& extents_;
  LoweredSegment& out_;
  std::array<std::vector<TensorId>, 2> roots_;  ///< forward, backward: tensors that share storage have one root
  std::vector<bool> saved_;
};

LoweredSegment lower_segment(const Segment& s, const Choices& c, bool epilogue, ExtentTable& extents) {
  LoweredSegment out;
  out.tensors = s.tensors;
  out.residual_in = s.residual_in, out.delta_in = s.delta_in;
  out.residual_out = s.residual_out, out.delta_out = s.delta_out;
  out.gradient_in = s.gradient_in, out.gradient_out = s.gradient_out;
  out.local = s.local;
  for (const auto* list : {&s.forward, &s.backward})
    for (const Operator& op : *list)
      if (op.flop.factor != 0) out.model_flop.push_back({extents.id(op.flop), list == &s.backward});
  if (epilogue) {  // logits live from the head's product to their gradient: one program
    std::vector<Operator> all = s.forward;
    all.insert(all.end(), s.backward.begin(), s.backward.end());
    out.forward = lower_operators(all, s, c, extents);
  } else {
    out.forward = lower_operators(s.forward, s, c, extents);
    out.backward = lower_operators(with_recomputation(s, c, extents), s, c, extents);
  }
  Storage(s, c, extents, out).run();
  add_eager_copies(s, c, extents, out);
  return out;
}

bool uses(const LoweredSegment& s, Region region, int index) {
  for (const Program* p : {&s.forward, &s.backward})
    for (const Location& l : p->location)
      if (l.region == region && l.index == index) return true;
  return false;
}

/// Whether a segment's residual lies in the shared boundary buffer at its upper border or during its recomputation.
bool residual_in_boundary(const LoweredSegment& s, bool next_saves_input) {
  const auto in_boundary = [&](const Program& p, TensorId t) {
    return t != kNone && t < static_cast<TensorId>(p.location.size()) && p.location[t].region == Region::boundary;
  };
  return (in_boundary(s.forward, s.residual_out) && !next_saves_input) || in_boundary(s.backward, s.residual_out);
}

/// Which of the shared border buffers exist at all.
void find_boundaries(Structure& structure) {
  const auto& blocks = structure.blocks;
  structure.residual_boundary = residual_in_boundary(structure.prologue, blocks.front().input_saved);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    structure.residual_boundary = structure.residual_boundary || residual_in_boundary(blocks[i], false);
  const auto any = [&](Region region, int index) {
    bool found = uses(structure.epilogue, region, index);
    for (const LoweredSegment& b : blocks) found = found || uses(b, region, index);
    return found;
  };
  structure.delta_boundary = any(Region::boundary, 1);
  structure.gradient_boundary = any(Region::boundary_gradient, 0);
}

}  // namespace

Structure make_structure(const Choices& choices) {
  const Graph graph = build_graph(choices);
  Structure structure;
  structure.choices = choices;
  structure.extents.push_back(Extent{} * 0);
  ExtentTable extents(structure.extents);
  structure.prologue = lower_segment(graph.prologue, choices, false, extents);
  for (const Segment& block : graph.blocks)
    structure.blocks.push_back(lower_segment(with_kept_results(block, choices), choices, false, extents));
  for (LoweredSegment& block : structure.blocks) join_launches(block, choices);
  structure.epilogue = lower_segment(graph.epilogue, choices, true, extents);
  find_boundaries(structure);
  find_distinct_scratch(structure);
  find_distinct_kernels(structure);
  return structure;
}

const Structure& cached_structure(Choices choices) {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<Structure>> structures;
  const std::lock_guard lock(mutex);
  for (const auto& s : structures)
    if (s->choices == choices) return *s;
  return *structures.emplace_back(std::make_unique<Structure>(make_structure(choices)));
}

}  // namespace dtcalc
