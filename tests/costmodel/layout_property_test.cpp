// Properties of random layouts of random models: figures are sane, and no hardware gets slower by getting faster.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <tuple>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/traffic.hpp"
#include "costmodel/scenario/check.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  /// One of `values`.
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + engine_() % values.size());
  }
  bool coin() { return engine_() % 2 == 0; }

 private:
  std::mt19937 engine_;
};

/// A scenario that the loader accepts.
Scenario random_scenario(Random& random) {
  for (;;) {
    Model m = small_model();
    m.layers = random.pick<std::int64_t>({1, 4, 12, 24});
    m.heads = random.pick<std::int64_t>({8, 16});
    m.kv_heads = random.pick<std::int64_t>({1, 2, 8});
    m.head_size = random.pick<std::int64_t>({16, 64});
    m.hidden_size = m.heads * m.head_size;
    m.mlp_size = 4 * m.hidden_size;
    m.vocabulary_size = random.pick<std::int64_t>({1000, 32001});
    m.max_sequence = random.pick<std::int64_t>({64, 1024});
    m.gated_mlp = random.coin();
    m.norm = random.coin() ? Norm::rms_norm : Norm::layer_norm;
    m.norm_bias = m.norm == Norm::layer_norm;
    m.block = random.coin() ? BlockForm::serial : BlockForm::parallel;
    m.norm_placement = random.pick({NormPlacement::pre, NormPlacement::post, NormPlacement::sandwich});
    m.position = random.pick({Position::learned, Position::rope, Position::alibi});
    m.residual_dropout = random.coin() ? 0.1 : 0;
    m.attention_dropout = random.coin() ? 0.1 : 0;
    m.tied_embeddings = random.coin();
    Parallel p;
    p.tensor = random.pick<std::int64_t>({1, 2, 4, 8});
    p.sequence = random.coin();
    p.save_full_inputs = random.coin();
    p.context = random.pick<std::int64_t>({1, 2, 4});
    p.context_sharding = random.pick({ContextSharding::naive, ContextSharding::striped, ContextSharding::zigzag});
    p.pipeline = random.pick<std::int64_t>({1, 2, 3, 4, 12});
    p.virtual_stages = random.pick<std::int64_t>({1, 1, 2});
    p.schedule = random.pick({PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved,
                              PipelineSchedule::zero_bubble});
    p.zero = random.pick<std::int64_t>({0, 1, 2, 3});
    Scenario s = training_scenario(m, random.coin() ? notes_software() : cpu_software());
    s.software.id = "random";
    s.software.overlap_gradient_reduction = random.coin();
    s.software.overlap_parameter_gather = random.coin();
    s.training.parallel = p;
    s.training.recompute = random.pick({Recompute::none, Recompute::selective, Recompute::full});
    s.attention = random.pick({AttentionKernel::naive, AttentionKernel::flash});
    const std::int64_t replicas = random.pick<std::int64_t>({1, 2, 8});
    s.cluster.devices_per_node = 8;
    s.cluster.nodes = p.tensor * p.context * p.pipeline * replicas;  // eight times as many replicas
    s.training.global_batch = s.training.micro_batch * replicas * 8 * random.pick<std::int64_t>({1, 4, 12});
    s.hardware.link_bandwidth = BytesPerSecond(300e9);
    s.hardware.nic_bandwidth = BytesPerSecond(25e9);
    s.hardware.launch_overhead = Seconds(3e-6);
    std::vector<Error> errors;
    check(s, {}, errors);
    if (errors.empty()) return s;
  }
}

}  // namespace

TEST_CASE("random layouts have finite figures that add up") {
  Random random(1);
  for (int i = 0; i < 400; ++i) {
    const Scenario s = random_scenario(random);
    const Totals t = evaluate(s, Work::training);
    CAPTURE(i);
    for (const double value : {t.step.value(), t.compute.value(), t.exposed.value(), t.bubble.value(), t.host.value(),
                               t.optimizer.value(), t.mfu, t.hfu}) {
      CHECK(std::isfinite(value));
      CHECK(value >= 0);
    }
    CHECK(t.compute + t.exposed + t.bubble + t.optimizer + t.host <= t.step * (1 + 1e-12));
    for (const Bytes bytes : {t.parameters_bytes, t.gradients_bytes, t.optimizer_bytes, t.activations_bytes,
                              t.logits_bytes, t.workspace_bytes})
      CHECK(bytes >= Bytes(0));
  }
}

TEST_CASE("no step gets longer when a figure of the hardware gets better") {
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    const Scenario s = random_scenario(random);
    const double before = evaluate(s, Work::training).step.value();
    const auto faster = [&](auto&& change) {
      Scenario better = s;
      change(better.hardware);
      return evaluate(better, Work::training).step.value();
    };
    const Parallel& p = s.training.parallel;
    CAPTURE(i, p.tensor, p.context, p.pipeline, p.virtual_stages, static_cast<int>(p.schedule), p.zero);
    const double rounding = 1 + 1e-12;
    CHECK(faster([](Device& d) {
            for (ComputeRate& r : d.compute) r.rate = FlopPerSecond(2 * r.rate.value());
          }) <= before * rounding);
    CHECK(faster([](Device& d) { d.memory_bandwidth = BytesPerSecond(2 * d.memory_bandwidth.value()); }) <=
          before * rounding);
    CHECK(faster([](Device& d) { d.link_bandwidth = BytesPerSecond(2 * d.link_bandwidth.value()); }) <=
          before * rounding);
    CHECK(faster([](Device& d) { d.nic_bandwidth = BytesPerSecond(2 * d.nic_bandwidth.value()); }) <=
          before * rounding);
    CHECK(faster([](Device& d) { d.launch_overhead = Seconds(0); }) <= before * rounding);
  }
}

TEST_CASE("the groups of a random layout add up to its step, with and without a recorder") {
  Random random(3);
  for (int i = 0; i < 100; ++i) {
    const Scenario s = random_scenario(random);
    Details details;
    const Totals hot = evaluate(s, Work::training), told = evaluate(s, Work::training, &details);
    CAPTURE(i);
    CHECK(hot.step == told.step);
    CHECK(hot.total == told.total);
    CHECK(hot.hardware_flop == told.hardware_flop);
    double seconds = 0;
    for (const GroupItem& item : details.groups) seconds += item.seconds * static_cast<double>(item.count);
    const double data = told.traffic[static_cast<int>(Axis::data)].exposed.value();
    // The device of these scenarios has no gaps between kernels: all of `host` is waiting for launches.
    CHECK(seconds + told.bubble.value() + data + told.host.value() == Approx(told.step.value()).epsilon(1e-9));
  }
}

TEST_CASE("kernels that share a price cost the same, to the last bit") {
  Random random(4);
  std::size_t shared = 0;
  for (int i = 0; i < 100; ++i) {
    Scenario s = random_scenario(random);
    if (random.coin()) s.model.sliding_window = 16, s.model.global_layer_every = 2;
    const Structure& structure = cached_structure(choices_of(s, Work::training));
    const Sizes sizes = sizes_of(s, Work::training);
    std::array<std::int64_t, kMaxExtents> values;
    evaluate_extents(structure, sizes.symbol, values);
    const auto cost = [&](const Kernel& kernel, const Program& program) {
      const KernelCost c = is_collective(kernel.contract)
                               ? collective_kernel_cost(kernel, program, sizes, values.data())
                               : kernel_cost(kernel, program, sizes, values.data());
      return std::make_tuple(c.flop, c.read_bytes, c.written_bytes, c.seconds, c.sent_bytes, c.bound);
    };
    std::size_t kernels = 0;
    CAPTURE(i);
    for (int segment = 0; segment < segments_in(structure); ++segment)
      for (const Program* program : {&segment_of(structure, segment).forward, &segment_of(structure, segment).backward})
        for (const Kernel& kernel : program->kernels) {
          REQUIRE(kernel.price < structure.distinct.size());
          const KernelRef& first = structure.distinct[kernel.price];
          const Program& of_first = program_of(structure, first);
          CHECK(cost(kernel, *program) == cost(of_first.kernels[first.kernel], of_first));
          ++kernels;
        }
    CHECK(structure.distinct.size() <= kernels);
    shared += kernels - structure.distinct.size();
  }
  CHECK(shared > 0);
}

TEST_CASE("runs of equal stages are what the stages are, one by one") {
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    const Layout layout = sizes_of(random_scenario(random), Work::training).layout;
    CAPTURE(i, layout.pipeline, layout.chunks, layout.layers);
    std::int64_t runs = 0;
    for (std::int64_t stage = 0, next = 0; stage < layout.pipeline; stage = next, ++runs) {
      next = next_shape(layout, stage);
      REQUIRE(next > stage);
      REQUIRE(next <= layout.pipeline);
      for (std::int64_t same = stage; same < next; ++same)
        CHECK(stage_shape(layout, same) == stage_shape(layout, stage));
    }
    if (layout.global_every == 0) CHECK(runs <= 5);
  }
}

TEST_CASE("blocks whose buffers lie alike are placed as each would be alone") {
  Random random(6);
  int copied = 0;
  for (int i = 0; i < 100; ++i) {
    Scenario s = random_scenario(random);
    if (random.coin()) s.model.sliding_window = 16, s.model.global_layer_every = 2;
    const Structure& structure = cached_structure(choices_of(s, Work::training));
    Structure alone = structure;
    for (LoweredSegment& block : alone.blocks) {
      copied += (block.forward.placed_as >= 0) + (block.backward.placed_as >= 0);
      block.forward.placed_as = block.backward.placed_as = -1;
    }
    const Sizes sizes = sizes_of(s, Work::training);
    std::array<std::int64_t, kMaxExtents> values;
    evaluate_extents(structure, sizes.symbol, values);
    MemoryPlan plan, expected;
    plan_segments(structure, sizes, values.data(), plan);
    plan_segments(alone, sizes, values.data(), expected);
    CAPTURE(i);
    for (std::size_t k = 0; k < structure.blocks.size(); ++k) {
      const auto equal = [&](const Program& program, auto offsets, auto peak) {
        const SegmentPlan &a = plan.segment[1 + k], &b = expected.segment[1 + k];
        CHECK(a.*peak == b.*peak);
        CHECK(std::equal((a.*offsets).begin(),
                         (a.*offsets).begin() + static_cast<std::ptrdiff_t>(program.scratch.size()),
                         (b.*offsets).begin()));
      };
      equal(structure.blocks[k].forward, &SegmentPlan::forward, &SegmentPlan::forward_bytes);
      equal(structure.blocks[k].backward, &SegmentPlan::backward, &SegmentPlan::backward_bytes);
    }
  }
  CHECK(copied > 0);
}
