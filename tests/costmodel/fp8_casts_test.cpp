// Casts to fp8 as kernels of their own: what they make is there when it is read, replaces what the backward pass would
// keep, and counts in memory, traffic and time.
#include <cmath>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/workspace.hpp"
#include "costmodel/lower/structure.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario scenario_of(const std::string& model, std::vector<std::string> changes, const std::string& precision) {
  changes.insert(changes.end(), {"software=dtcalc-cuda", "training.precision=" + precision, "training.sequence=1024"});
  return load_scenario_named(model, "h200", DTCALC_SOURCE_DIR, changes).value();
}

bool is_fp8(const LoweredSegment& s, TensorId t) { return t != kNone && s.tensors[t].width == Width::fp8; }

struct Counts {
  int casts = 0, products = 0, gradients = 0;
};

/// Walks both programs of a block: every fp8 operand was written before, or is saved; a product reads two of them or
/// none, and its contract's scales.
Counts check_block(const LoweredSegment& s) {
  Counts counts;
  std::vector<bool> made(s.tensors.size(), false), saved(s.tensors.size(), false);
  std::vector<TensorId> copied(s.tensors.size(), kNone);  // what an fp8 tensor was made from
  for (const SavedTensor& t : s.saved) saved[t.tensor] = true;
  for (const Program* program : {&s.forward, &s.backward}) {
    if (program == &s.backward) made = saved;
    for (const Kernel& kernel : program->kernels) {
      const auto& o = kernel.operands;
      if (kernel.contract == Contract::cast_fp8) {
        ++counts.casts;
        CHECK_FALSE(is_fp8(s, o[0]));
        CHECK((o[1] != kNone || o[2] != kNone));
        for (const TensorId t : {o[1], o[2]}) {
          if (t == kNone) continue;
          CHECK(is_fp8(s, t));
          CHECK(s.tensors[t].elements == s.tensors[o[0]].elements);
          made[t] = true;
          copied[t] = o[0];
        }
        if (o[1] != kNone && o[2] != kNone) CHECK(s.tensors[o[1]].scale == s.tensors[o[2]].scale);
      } else if (kernel.casts_apart) {
        for (const int i : {0, 1}) CHECK((is_fp8(s, o[i]) && made[o[i]]));
        const int left = s.tensors[o[0]].scale, right = s.tensors[o[1]].scale;
        const bool gradient = kernel.contract != Contract::product;
        counts.products += gradient ? 0 : 1;
        counts.gradients += gradient ? 1 : 0;
        CHECK(left / kFp8Matrices == (gradient ? 2 : 1));
        CHECK(right / kFp8Matrices == (kernel.contract == Contract::product_weight ? 1 : 0));
        CHECK(kernel.block_weight);
      } else {
        for (const TensorId t : o) CHECK_FALSE(is_fp8(s, t));
        CHECK_FALSE(kernel.block_weight);
      }
      // A copy is stale once its source is written.
      for (std::size_t i = 0; i < o.size(); ++i) {
        const Access access = info(kernel.contract).operands[i].access;
        if (o[i] == kNone || access == Access::read || kernel.replay) continue;
        for (std::size_t t = 0; t < made.size(); ++t)
          if (copied[t] == o[i]) made[t] = false;
      }
    }
  }
  return counts;
}

double saved_per_layer(const Scenario& scenario) {
  const Structure& structure = cached_structure(choices_of(scenario, true));
  const Sizes sizes = sizes_of(scenario, Work::training);
  std::array<std::int64_t, kMaxExtents> values{};
  evaluate_extents(structure, sizes.symbol, values);
  std::int64_t bytes = 0;
  for (const SavedTensor& t : structure.blocks.back().saved)
    bytes += bytes_of(values[t.extent], sizes.half_bytes[static_cast<int>(t.width)]);
  return static_cast<double>(bytes);
}

}  // namespace

TEST_CASE("fp8 casts: every product with a block's weight reads copies that were made before") {
  struct Case {
    const char* model;
    std::vector<std::string> changes;
    Counts expected;  // of the last block kind; casts of inputs, of weights in either pass, of gradients
  };
  const std::vector<Case> cases{
      {"gpt2-124m", {}, {4 + 2 * 6 + 6, 6, 12}},
      {"llama3-8b", {}, {4 + 2 * 7 + 7, 7, 14}},
      {"llama3-8b", {"training.frozen=[\"query\",\"down\"]"}, {4 + 2 * 7 + 7, 7, 12}},
      {"gpt-j-6b", {}, {3 + 2 * 6 + 5, 6, 12}},  // one norm for attention and MLP, one gradient behind both
      {"llama3-8b", {"training.recompute=full"}, {4 + 2 * 7 + 7 + 4 + 6, 7 + 6, 14}},
      {"llama3-8b",
       {"cluster=dgx-h200", "training.parallel.tensor=2", "training.parallel.sequence=true"},
       {4 + 2 * 7 + 7, 7, 14}},
  };
  for (const Case& c : cases) {
    const Scenario scenario = scenario_of(c.model, c.changes, "fp8_mixed");
    CAPTURE(c.model, c.changes);
    const Counts counts = check_block(cached_structure(choices_of(scenario, true)).blocks.back());
    CHECK(counts.casts == c.expected.casts);
    CHECK(counts.products == c.expected.products);
    CHECK(counts.gradients == c.expected.gradients);
    check_block(cached_structure(choices_of(scenario, Work::evaluation)).blocks.back());
  }
}

TEST_CASE("fp8 casts: transposed copies are saved in place of what only the gradient of a weight reads") {
  const Scenario fp8 = scenario_of("llama3-8b", {"training.micro_batch=2"}, "fp8_mixed");
  const Scenario bf16 = scenario_of("llama3-8b", {"training.micro_batch=2"}, "bf16_mixed");
  const Model& m = fp8.model;
  const double rows = 2.0 * 1024;
  // Both norms' results and the activation's: 1 byte for 2. Attention's result is read by its own backward pass too.
  const auto hidden = static_cast<double>(m.hidden_size), mlp = static_cast<double>(m.mlp_size);
  const double heads = static_cast<double>(m.heads * m.head_size);
  CHECK(saved_per_layer(bf16) - saved_per_layer(fp8) == rows * (2 * hidden + mlp - heads));
}

TEST_CASE("fp8 casts: the scales of every layer lie in the workspace, 1024 steps back") {
  const Scenario fp8 = scenario_of("gpt2-124m", {}, "fp8_mixed"), bf16 = scenario_of("gpt2-124m", {}, "bf16_mixed");
  const std::int64_t bytes = 12 * 21 * (1024 + 3) * 4;  // layers, scales, floats of one
  CHECK(cuda_workspace(fp8, true).scales.value() == (bytes + 255) / 256 * 256);
  CHECK(cuda_workspace(bf16, true).scales.value() == 0);
  CHECK((sizes_of(fp8, Work::training).workspace - sizes_of(bf16, Work::training).workspace).value() ==
        (bytes + 255) / 256 * 256);
}

TEST_CASE("fp8 casts: FLOPs are those of bf16, products take less time, casts take the copy's") {
  const Scenario fp8 = scenario_of("llama3-8b", {"model.layers=2"}, "fp8_mixed");
  const Scenario bf16 = scenario_of("llama3-8b", {"model.layers=2"}, "bf16_mixed");
  const report::Estimate a = report::estimate(fp8), b = report::estimate(bf16);
  CHECK(a.totals.model_flop.value() == b.totals.model_flop.value());
  const auto row = [](const report::Estimate& e, std::string_view phase) {
    for (const report::OperatorRow& r : e.operators)
      if (r.name == "block.mlp.down" && r.phase == phase) return r;
    FAIL("no such row");
    return report::OperatorRow{};
  };
  // Forward: x is read in 2 bytes and written in 1 and transposed in 1, w read in 2 and written in 1; the product reads
  // 1 byte of either and writes 2.
  const double m = 1024, n = 4096, k = 14336, layers = 2;
  const report::OperatorRow down = row(a, "forward");
  CHECK(down.read_bytes == layers * (2 * m * k + 2 * n * k + m * k + n * k));
  CHECK(down.written_bytes == layers * (2 * m * k + n * k + 2 * m * n));
  CHECK(down.time.value() < row(b, "forward").time.value());
  // The other way round without kernels for the casts: the same products, and the scratch of bf16.
  Scenario apart = fp8;
  apart.software.fp8_casts = false;
  CHECK(report::estimate(apart).totals.total.value() != a.totals.total.value());
}
