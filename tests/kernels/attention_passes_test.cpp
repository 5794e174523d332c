// The cost model's table of what fused attention executes against what the kernels say of themselves. Needs no GPU.
#include "costmodel/evaluate/attention_passes.hpp"

#include "costmodel/scenario/load.hpp"
#include "kernels/attention_flash.hpp"
#include "kernels/attention_support.hpp"

namespace dtcalc::cuda::test {
namespace {

void check_pass(const FlashPass& kernel, const AttentionPass& table, bool keys_own) {
  CHECK(kernel.products == table.products);
  if (table.products == 0) return;
  CHECK(kernel.tile.query == table.query_tile);
  CHECK(kernel.tile.key == table.key_tile);
  CHECK(kernel.owned == table.owned);
  CHECK(table.keys_own == keys_own);
  CHECK(table.skips_masked_tiles);
}

template <class T>
void check_table(const Scenario& s, Dtype dtype, const AttentionOptions& options) {
  const AttentionShape shape{1, 100, 100, 4, 2, s.model.head_size};
  const bool hopper = s.hardware.architecture == GpuArchitecture::hopper;
  const FlashPlan plan = flash_plan<T>(shape, options, hopper);
  const AttentionPasses passes = attention_passes(s, dtype, true, shape.keys, options.window);
  CAPTURE(s.model.head_size, hopper, options.window, options.dropout, options.softcap);
  check_pass(plan.forward, passes.forward, false);
  check_pass(plan.backward_keys, passes.backward[0], true);
  check_pass(plan.backward_queries, passes.backward[1], false);
}

TEST_CASE("the cost model knows the passes, products and tiles of every attention kernel") {
  Scenario s;
  s.software.id = "dtcalc-cuda";
  const float slope = 1;
  for (const GpuArchitecture architecture : {GpuArchitecture::ampere, GpuArchitecture::hopper})
    for (const std::int64_t head_size : {16, 64, 72, 80, 96, 128, 256})
      for (const std::int64_t window : {0, 99, 100, 200})
        for (int extra = 0; extra < 4; ++extra) {
          s.hardware.architecture = architecture;
          s.model.head_size = head_size;
          AttentionOptions options;
          options.window = window;
          options.dropout = s.model.attention_dropout = extra == 1 ? 0.1 : 0;
          options.softcap = s.model.attention_softcap = extra == 2 ? 30 : 0;
          s.model.position = extra == 3 ? Position::alibi : Position::rope;
          options.alibi_slopes = extra == 3 ? &slope : nullptr;
          check_table<float>(s, Dtype::fp32, options);
          check_table<float>(s, Dtype::tf32, options);
          check_table<bf16>(s, Dtype::bf16, options);
          check_table<fp16>(s, Dtype::fp16, options);
        }
}

}  // namespace
}  // namespace dtcalc::cuda::test
