#include "costmodel/evaluate/serving.hpp"

#include <algorithm>

namespace dtcalc {
namespace {

double intensity(const Details& details) {
  double flop = 0, bytes = 0;
  for (const GroupItem& item : details.groups) {
    flop += item.flop * static_cast<double>(item.count);
    bytes += (item.read_bytes + item.written_bytes) * static_cast<double>(item.count);
  }
  return bytes > 0 ? flop / bytes : 0;
}

std::int64_t full_length(const Inference& i) { return i.prompt_tokens + i.new_tokens; }

Bytes with_cache(const Scenario& scenario, const Totals& prefill, const Totals& decode) {
  return std::max(prefill.total, decode.total) +
         cache_bytes(scenario, full_length(scenario.inference)) * scenario.inference.batch;
}

}  // namespace

std::int64_t halfway_context(const Inference& i) { return i.prompt_tokens + (i.new_tokens + 1) / 2; }

Seconds decode_step_of(const Scenario& scenario) {
  return evaluate(scenario, Work::decode, nullptr, halfway_context(scenario.inference)).step;
}

Bytes cache_bytes(const Scenario& scenario, std::int64_t tokens) {
  const Model& m = scenario.model;
  const Inference& i = scenario.inference;
  std::int64_t kept = 0;
  for (std::int64_t layer = 0; layer < m.layers; ++layer)
    kept += is_local(m, layer) ? std::min(tokens, m.sliding_window) : tokens;
  const std::int64_t heads = std::max<std::int64_t>(1, m.kv_heads / i.tensor);
  return Bytes(bytes_of(2 * kept * heads * m.head_size, half_bytes(i.cache)));
}

Bytes serving_bytes(const Scenario& scenario) {
  return with_cache(scenario, evaluate(scenario, Work::prefill),
                    evaluate(scenario, Work::decode, nullptr, full_length(scenario.inference)));
}

std::int64_t largest_batch(Scenario scenario) {
  const auto fits = [&](std::int64_t batch) {
    scenario.inference.batch = batch;
    return serving_bytes(scenario) <= scenario.hardware.memory;
  };
  std::int64_t low = 0, high = 1;
  while (high < (1 << 24) && fits(high)) low = high, high *= 2;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

Serving serving_of(const Scenario& scenario, Details& prefill) {
  Serving s;
  const Inference& i = scenario.inference;
  s.prefill_totals = evaluate(scenario, Work::prefill, &prefill);
  s.prefill = s.prefill_totals.step;
  s.prefill_intensity = intensity(prefill);
  Details decode;
  s.decode_totals = evaluate(scenario, Work::decode, &decode, halfway_context(i));
  s.decode_step = s.decode_totals.step;
  s.decode_intensity = intensity(decode);
  // The prefill's own logits give the first token.
  s.request = s.prefill + s.decode_step * static_cast<double>(std::max<std::int64_t>(0, i.new_tokens - 1));
  s.throughput = Tokens(i.batch) / s.decode_step;
  // While a request makes its tokens, each of the others is replaced once and its prompt read.
  const double others = 1 - 1 / static_cast<double>(i.batch);
  s.served_token = s.decode_step + s.prefill * (others / static_cast<double>(std::max<std::int64_t>(1, i.new_tokens)));
  s.kv_cache_bytes_per_token = cache_bytes(scenario, 1);
  s.kv_cache = cache_bytes(scenario, full_length(i)) * i.batch;
  s.total = with_cache(scenario, s.prefill_totals, s.decode_totals);
  s.max_batch = largest_batch(scenario);
  return s;
}

}  // namespace dtcalc
