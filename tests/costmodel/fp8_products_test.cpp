// Mixed fp8: which products run at the fp8 rate, and what their casts cost.
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario llama(const std::string& precision) {
  const std::vector<std::string> changes{"software=megatron-bridge", "software.compute_time_factor=1",
                                         "training.micro_batch=2",   "training.sequence=8192",
                                         "model.layers=2",           "training.precision=" + precision};
  return load_scenario_named("llama3-8b", "h100", DTCALC_SOURCE_DIR, changes).value();
}

double seconds(const Scenario& scenario, std::string_view name, std::string_view phase) {
  double sum = 0;
  for (const report::OperatorRow& row : report::estimate(scenario).operators)
    if (row.name == name && row.phase == phase) sum += row.time.value();
  return sum;
}

}  // namespace

TEST_CASE("fp8 runs block products at its own rate after a cast, and leaves the head and attention in bf16") {
  const Scenario fp8 = llama("fp8_mixed"), bf16 = llama("bf16_mixed");
  const Device& d = fp8.hardware;
  const double ratio = d.rate(Dtype::bf16).value() * d.achievable_fraction(Dtype::bf16) /
                       (d.rate(Dtype::fp8).value() * d.achievable_fraction(Dtype::fp8));
  // The operand in 16384 rows of 14336: read in 2 bytes, written in 1 and transposed in 1.
  const double cast = 2 * 4.0 * 16384 * 14336 / (d.memory_bandwidth.value() * d.achievable_bandwidth);
  const double before = seconds(bf16, "block.mlp.down", "forward");
  // 5 %: tiles and waves are those of bf16, and latencies do not shrink; the cast alone is more than 10 %.
  CHECK(seconds(fp8, "block.mlp.down", "forward") == Approx(ratio * before + cast).epsilon(0.05));
  CHECK(cast > 0.1 * ratio * before);
  CHECK(seconds(fp8, "head.product", "forward") == seconds(bf16, "head.product", "forward"));
  CHECK(seconds(fp8, "block.attention.scores", "forward") == seconds(bf16, "block.attention.scores", "forward"));
}
