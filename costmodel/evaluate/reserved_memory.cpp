#include "costmodel/evaluate/reserved_memory.hpp"

#include <algorithm>
#include <cassert>

#include "costmodel/evaluate/caching_allocator.hpp"
#include "costmodel/evaluate/towers.hpp"
#include "costmodel/schedule/schedule.hpp"

namespace dtcalc {
namespace {

using Block = CachingAllocator::Block;
using Blocks = std::vector<Block>;

enum Stream { compute, gathers, reductions };

/// First and last kernel of a program that touch each tensor which `index_of` numbers; -1 for none.
struct Touched {
  std::vector<int> first, last;
};
template <class F>
Touched touched(const Program& program, std::size_t count, F&& index_of) {
  Touched t{std::vector<int>(count, -1), std::vector<int>(count, -1)};
  for (std::size_t k = 0; k < program.kernels.size(); ++k)
    for (const TensorId operand : program.kernels[k].operands) {
      if (operand == kNone) continue;
      const int index = index_of(operand);
      if (index < 0) continue;
      const auto i = static_cast<std::size_t>(index);
      if (t.first[i] < 0) t.first[i] = static_cast<int>(k);
      t.last[i] = static_cast<int>(k);
    }
  return t;
}

class Step {
 public:
  Step(const Structure& structure, const Sizes& sizes, std::int64_t stage, Allocator allocator)
      : structure_(structure), sizes_(sizes), stage_(stage), memory_(allocator), sharded_(sizes.layout.zero >= 3) {
    evaluate_extents(structure, sizes.symbol, values_);
    chunks_.resize(static_cast<std::size_t>(sizes.layout.chunks));
  }

  ReservedMemory run(const std::vector<Instruction>& passes) {
    start();
    constexpr int steps = 3;  // moments appear in the first; the third finds what the second left
    for (int s = 0; s < steps; ++s) {
      root_ = gather(root_units());
      for (const Instruction& i : passes) {
        if (i.op == Op::forward) forward(i);
        if (i.op == Op::backward || i.op == Op::backward_input) backward(i);
      }
      release(root_);
      reduce(root_units(), root_gradients_);
      optimizer();
    }
    return {memory_.reserved(), Bytes(most_)};
  }

 private:
  /// A layer's forward pass waiting for its backward pass.
  struct Saved {
    int segment;
    Blocks tensors;
  };
  struct MicroBatch {
    std::int32_t number;
    std::vector<Saved> segments;
  };

  Block allocate(std::int64_t bytes, Stream stream = compute) {
    const Block block = memory_.allocate(bytes, stream);
    most_ = std::max(most_, memory_.allocated().value());
    return block;
  }
  void release(Blocks& blocks) {
    for (const Block& b : blocks) memory_.free(b);
    blocks.clear();
  }
  void release(Block& block) {
    memory_.free(block);
    block = {};
  }

  std::int64_t bytes(ExtentId extent, Width width) const {
    return bytes_of(values_[extent], sizes_.half_bytes[static_cast<int>(width)]);
  }
  std::int64_t shard(std::int64_t n, int stage_of_zero) const {
    const std::int64_t ranks = sizes_.layout.zero >= stage_of_zero ? sizes_.layout.replicas_of_states() : 1;
    return (n + ranks - 1) / ranks;
  }
  bool is_block(int i) const { return i >= 1 && i < segments_in(structure_) - 1; }

  /// Embedding and head, as far as the stage has them.
  std::vector<int> root_units() const {
    std::vector<int> units;
    if (stage_ == 0) units.push_back(0);
    if (stage_ == sizes_.layout.pipeline - 1) units.push_back(segments_in(structure_) - 1);
    return units;
  }

  /// Segments that the stage runs for one micro-batch in one of its chunks, in order.
  std::vector<int> segments(std::int32_t chunk) const {
    std::vector<int> list;
    const StageShape shape = chunk_shape(sizes_.layout, stage_, chunk);
    if (shape.prologue) list.push_back(0);
    for (int i = 1; is_block(i); ++i)
      list.insert(list.end(), static_cast<std::size_t>(shape.layers[static_cast<std::size_t>(i - 1)]), i);
    if (shape.epilogue) list.push_back(segments_in(structure_) - 1);
    return list;
  }

  /// Calls f(parameter) for the parameters of a unit that this stage stores.
  template <class F>
  void for_parameters(int segment, F&& f) const {
    for (const ParameterTensor& p : segment_of(structure_, segment).parameters)
      if (!p.tied || sizes_.layout.pipeline > 1) f(p);
  }
  template <class F>
  void for_all_parameters(F&& f) const {
    for (std::int32_t c = 0; c < sizes_.layout.chunks; ++c)
      for (const int segment : segments(c)) for_parameters(segment, f);
  }

  /// What is there before the first step.
  void start() {
    const int packed = sizes_.half_bytes[static_cast<int>(Width::packed)];
    for_all_parameters([&](const ParameterTensor& p) {
      const std::int64_t n = values_[p.extent];
      allocate(p.packed ? packed_bytes(shard(n, 3), packed) : bytes_of(shard(n, 3), sizes_.state.weight));
      if (!p.trained) return;
      if (!sharded_) allocate(bytes_of(shard(n, 2), sizes_.state.gradient));
      allocate(bytes_of(shard(n, 1), sizes_.state.master));
    });
    allocate(sizes_.workspace.value());
    const auto symbol = [&](Symbol s) { return sizes_.symbol[static_cast<int>(s)]; };
    const std::int64_t stream = symbol(Symbol::batch) * symbol(Symbol::shard) * symbol(Symbol::hidden);
    const auto border = [&](bool exists, Width width) {
      if (exists) allocate(bytes_of(stream, sizes_.half_bytes[static_cast<int>(width)]));
    };
    border(structure_.residual_boundary, Width::stream);
    border(structure_.delta_boundary, Width::activation);
    border(structure_.gradient_boundary, Width::stream);
    for (const int i : root_units())
      for (const InputTensor& in : segment_of(structure_, i).inputs) allocate(bytes(in.extent, in.width));
  }

  void start_gather(const std::vector<int>& units) {
    std::int64_t sum = 0;
    for (const int unit : units)
      for_parameters(unit,
                     [&](const ParameterTensor& p) { sum += bytes_of(values_[p.extent], sizes_.state.gathered); });
    ahead_ = allocate(sum, gathers);
  }

  /// The unit's parameters, whole. The buffer of the all-gather before is free once this one has started.
  Blocks gather(const std::vector<int>& units) {
    Blocks whole;
    if (!sharded_ || units.empty()) return whole;
    if (ahead_.pool < 0) start_gather(units);
    release(behind_);
    for (const int unit : units)
      for_parameters(unit, [&](const ParameterTensor& p) {
        whole.push_back(allocate(bytes_of(values_[p.extent], sizes_.state.gathered)));
      });
    behind_ = ahead_, ahead_ = {};
    return whole;
  }

  /// Whole gradients to shards of their sum.
  void reduce(const std::vector<int>& units, Blocks& whole) {
    if (!sharded_ || whole.empty()) return;
    std::int64_t trained = 0;
    for (const int unit : units)
      for_parameters(unit, [&](const ParameterTensor& p) { trained += p.trained ? values_[p.extent] : 0; });
    const Block input = allocate(bytes_of(trained, sizes_.state.gradient));
    release(whole);
    release(reduced_from_);
    reduced_from_ = input;
    gradients_.push_back(allocate(bytes_of(shard(trained, 3), sizes_.state.gradient), reductions));
  }

  /// One program's requests; `saved` are filled by a forward and emptied by a backward program.
  void play(int segment, bool backward, Blocks& saved, Blocks& whole_gradients) {
    const LoweredSegment& s = segment_of(structure_, segment);
    const Program& program = backward ? s.backward : s.forward;
    const auto located = [&](TensorId t, Region region) -> int {
      const auto at = static_cast<std::size_t>(t);
      if (at >= program.location.size() || program.location[at].region != region) return -1;
      return program.location[at].index;
    };
    const Touched of_saved = touched(program, s.saved.size(), [&](TensorId t) { return located(t, Region::saved); });
    const Touched of_gradients =
        touched(program, s.parameters.size(), [&](TensorId t) { return located(t, Region::gradient); });
    const int count = static_cast<int>(program.kernels.size());
    Blocks scratch(program.scratch.size());
    if (!backward) saved.assign(s.saved.size(), {});
    for (int k = 0; k <= count; ++k) {
      for (std::size_t b = 0; b < scratch.size(); ++b)
        if (program.scratch[b].first == k)
          scratch[b] = allocate(bytes(program.scratch[b].extent, program.scratch[b].width));
      for (std::size_t i = 0; !backward && i < saved.size(); ++i)  // copies that no operand names come last
        if (of_saved.first[i] == k || (k == count && of_saved.first[i] < 0))
          saved[i] = allocate(bytes(s.saved[i].extent, s.saved[i].width));
      for (std::size_t i = 0; sharded_ && i < s.parameters.size(); ++i)
        if (of_gradients.first[i] == k)
          whole_gradients.push_back(allocate(bytes_of(values_[s.parameters[i].extent], sizes_.state.gathered)));
      for (std::size_t b = 0; b < scratch.size(); ++b)
        if (program.scratch[b].last == k) release(scratch[b]);
      for (std::size_t i = 0; backward && i < saved.size(); ++i)
        if (of_saved.last[i] == k || (k == count && of_saved.last[i] < 0)) release(saved[i]);
    }
    release(scratch);
  }

  void forward(const Instruction& instruction) {
    MicroBatch batch{instruction.micro_batch, {}};
    const std::vector<int> list = segments(instruction.chunk);
    for (std::size_t i = 0; i < list.size(); ++i) {
      Blocks whole = is_block(list[i]) ? gather({list[i]}) : Blocks{};
      Blocks saved;
      play(list[i], false, saved, root_gradients_);
      if (i + 1 == list.size() || !is_block(list[i + 1]))
        std::swap(kept_, whole);  // the last block's backward pass comes next
      release(whole);
      batch.segments.push_back({list[i], std::move(saved)});
    }
    chunks_[static_cast<std::size_t>(instruction.chunk)].push_back(std::move(batch));
  }

  void backward(const Instruction& instruction) {
    std::vector<MicroBatch>& waiting = chunks_[static_cast<std::size_t>(instruction.chunk)];
    const auto batch = std::find_if(waiting.begin(), waiting.end(),
                                    [&](const MicroBatch& b) { return b.number == instruction.micro_batch; });
    assert(batch != waiting.end());
    std::vector<Saved>& list = batch->segments;
    for (std::size_t i = list.size(); i-- > 0;) {
      const bool block = is_block(list[i].segment);
      Blocks whole, gradients;
      if (block) {
        whole = kept_.empty() ? gather({list[i].segment}) : std::exchange(kept_, {});
        if (sharded_) {
          release(behind_);
          if (i > 0 && is_block(list[i - 1].segment)) start_gather({list[i - 1].segment});
        }
      }
      play(list[i].segment, true, list[i].tensors, block ? gradients : root_gradients_);
      release(list[i].tensors);
      release(whole);
      if (block) reduce({list[i].segment}, gradients);
    }
    waiting.erase(batch);
  }

  void optimizer() {
    if (!has_moments_)
      for_all_parameters([&](const ParameterTensor& p) {
        const std::int64_t n = shard(values_[p.extent], 1);
        for (int m = 0; p.trained && m < sizes_.state.moments; ++m) allocate(bytes_of(n, sizes_.state.moment));
      });
    has_moments_ = true;
    release(gradients_);
    release(reduced_from_);
    release(behind_);
  }

  const Structure& structure_;
  const Sizes& sizes_;
  std::int64_t stage_;
  CachingAllocator memory_;
  bool sharded_;
  std::array<std::int64_t, kMaxExtents> values_{};
  std::vector<std::vector<MicroBatch>> chunks_;  ///< of the stage
  Blocks root_, root_gradients_;                 ///< of embedding and head, whole
  Blocks kept_;                                  ///< the last block's parameters between its passes
  Blocks gradients_;                             ///< shards
  Block ahead_, behind_;                         ///< buffers of all-gathers: started, and copied out
  Block reduced_from_;
  bool has_moments_ = false;
  std::int64_t most_ = 0;
};

/// The stage's passes. No more micro-batches than bring a pipeline into its steady state.
std::vector<Instruction> passes_of(const Layout& l, std::int64_t micro_batches, std::int64_t stage) {
  if (l.pipeline == 1) {
    std::vector<Instruction> list;
    for (std::int32_t b = 0; b < std::min<std::int64_t>(micro_batches, 2); ++b) {
      list.push_back({Op::forward, 0, b, -1});
      list.push_back({Op::backward, 0, b, -1});
    }
    return list;
  }
  ScheduleShape shape{l.schedule, l.pipeline, l.chunks, std::min(micro_batches, 2 * l.pipeline)};
  const Result<Schedule> schedule = make_schedule(shape);
  if (!schedule) return {};
  const auto list = schedule->stage(stage);
  return {list.begin(), list.end()};
}

}  // namespace

std::optional<ReservedMemory> reserved_memory(const Scenario& scenario, const Totals& totals) {
  if (scenario.software.allocator == Allocator::none || has_towers(scenario)) return std::nullopt;
  const Structure& structure = cached_structure(choices_of(scenario, Work::training));
  const Sizes sizes = sizes_of(scenario, Work::training);
  Step step(structure, sizes, totals.peak.stage, scenario.software.allocator);
  return step.run(passes_of(sizes.layout, sizes.micro_batches, totals.peak.stage));
}

}  // namespace dtcalc
