#include "costmodel/evaluate/serving.hpp"

#include <algorithm>
#include <array>

#include "costmodel/formulas/hardware.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/scenario/check.hpp"

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

/// FLOPs over bytes of the products with the blocks' weights in a decode step.
double weight_intensity(const Scenario& scenario) {
  static constexpr std::array weights{Name::attention_query,  Name::attention_key, Name::attention_value,
                                      Name::attention_output, Name::mlp_gate,      Name::mlp_up,
                                      Name::mlp_down};
  Details details;
  evaluate(scenario, Work::decode, &details, halfway_context(scenario.inference));
  double flop = 0, bytes = 0;
  for (const GroupItem& item : details.groups)
    if (std::find(weights.begin(), weights.end(), item.group->name) != weights.end()) {
      flop += item.flop * static_cast<double>(item.count);
      bytes += (item.read_bytes + item.written_bytes) * static_cast<double>(item.count);
    }
  return bytes > 0 ? flop / bytes : 0;
}

std::optional<std::int64_t> compute_bound_batch(Scenario scenario, double ridge) {
  constexpr std::int64_t most = std::int64_t{1} << 20;
  const auto bound = [&](std::int64_t batch) {
    scenario.inference.batch = batch;
    return weight_intensity(scenario) >= ridge;
  };
  std::int64_t low = 0, high = 1;  // intensity grows with the batch
  while (!bound(high)) {
    if (high >= most) return std::nullopt;
    low = high, high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (bound(middle) ? high : low) = middle;
  }
  return high;
}

std::optional<std::int64_t> smallest_tensor(const Scenario& scenario) {
  constexpr std::int64_t most = 64;
  Scenario s = scenario;
  s.has_training = false;
  s.cluster.nodes = 1;
  // Memory does not depend on links, which one device need not have.
  if (s.hardware.link_bandwidth.value() == 0) s.hardware.link_bandwidth = BytesPerSecond(1);
  for (std::int64_t tensor = 1; tensor <= std::min(most, s.model.heads); ++tensor) {
    s.inference.tensor = s.cluster.devices_per_node = tensor;
    std::vector<Error> errors;
    check(s, {}, errors);
    if (errors.empty() && serving_bytes(s) <= s.hardware.memory) return tensor;
  }
  return std::nullopt;
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

Serving serving_of(const Scenario& scenario, Details& prefill, Details& decode) {
  Serving s;
  const Inference& i = scenario.inference;
  s.prefill_totals = evaluate(scenario, Work::prefill, &prefill);
  s.prefill = s.prefill_totals.step;
  s.prefill_intensity = intensity(prefill);
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

ServingLimits serving_limits(const Scenario& scenario) {
  ServingLimits limits;
  limits.smallest_tensor = smallest_tensor(scenario);
  Scenario one = scenario;
  one.inference.tensor = 1;
  const Totals whole = evaluate(one, Work::prefill);
  const Inference& i = scenario.inference;
  limits.closed_tensor = formulas::eq_14_1_min_tp(
      static_cast<double>(whole.parameters_bytes.value()),
      static_cast<double>(cache_bytes(one, full_length(i)).value()), static_cast<double>(i.batch),
      static_cast<double>(scenario.hardware.memory.value()), scenario.model.kv_heads);
  const double ridge =
      formulas::math_intensity(scenario.hardware.rate(i.precision).value(), scenario.hardware.memory_bandwidth.value());
  limits.compute_bound_batch = compute_bound_batch(scenario, ridge);
  limits.closed_batch = formulas::compute_bound_batch_of_weights(0.5 * half_bytes(i.weights), ridge);
  return limits;
}

}  // namespace dtcalc
