#include "costmodel/evaluate/least_batch.hpp"

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/memory.hpp"

namespace dtcalc {
namespace {

bool half_is_fp16(Precision p) {
  return p == Precision::fp16_mixed || p == Precision::fp16_mixed_low_gradients || p == Precision::fp16_autocast;
}

}  // namespace

LeastBatch mixed_precision_least_batch(const Scenario& scenario) {
  constexpr Bytes enough = 1024_TiB;  // no device holds it; far below what overflows
  const Model& m = scenario.model;
  LeastBatch result;
  const auto real = [](std::int64_t n) { return static_cast<double>(n); };
  result.closed = formulas::eq_3_9_b_min(real(m.hidden_size), real(scenario.training.sequence), real(m.heads),
                                         real(m.mlp_size) / real(m.hidden_size));
  Scenario s = scenario;
  const std::int64_t passes = micro_batches(scenario) * data_parallel(scenario);
  const auto total = [&](Precision precision, std::int64_t batch) {
    s.training.precision = precision;
    s.training.micro_batch = batch;
    s.training.global_batch = batch * passes;
    return evaluate(s, Work::training).total;
  };
  const Precision mixed = half_is_fp16(scenario.training.precision) ? Precision::fp16_mixed : Precision::bf16_mixed;
  const auto saves = [&](std::int64_t batch) { return total(mixed, batch) <= total(Precision::fp32, batch); };
  std::int64_t low = 0, high = 1;
  while (!saves(high)) {
    if (total(Precision::fp32, high) > enough) return result;
    low = high, high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (saves(middle) ? high : low) = middle;
  }
  result.micro_batch = high;
  return result;
}

}  // namespace dtcalc
