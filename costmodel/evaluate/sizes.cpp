#include "costmodel/evaluate/sizes.hpp"

#include <algorithm>
#include <cassert>

#include "costmodel/evaluate/workspace.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

constexpr std::int8_t k4 = 8, k2 = 4;  // bytes times two

bool is_mixed(Precision p) { return p != Precision::fp32 && p != Precision::tf32 && p != Precision::fp64; }
/// Whether the device's measured points are of this dtype.
bool measured_in(const Device& d, Dtype dtype) {
  switch (dtype) {
    case Dtype::fp32:
      return d.measured_dtype.empty() || d.measured_dtype == "fp32";
    case Dtype::tf32:
      return d.measured_dtype.empty() || d.measured_dtype == "tf32";
    case Dtype::fp16:
      return d.measured_dtype.empty() || d.measured_dtype == "fp16";
    case Dtype::bf16:
      return d.measured_dtype.empty() || d.measured_dtype == "bf16";
    default:
      return d.measured_dtype.empty();
  }
}

bool is_autocast(Precision p) { return p == Precision::bf16_autocast || p == Precision::fp16_autocast; }

/// Pairs of one head that count as model FLOPs: the square (or the band under a window), or what causality leaves.
std::int64_t model_pairs(std::int64_t s, std::int64_t k, std::int64_t window, CausalFlop convention) {
  const std::int64_t reach = window > 0 ? std::min(window, k) : k;
  if (convention == CausalFlop::full) return s * reach;
  // Query i sees min(k - s + i + 1, reach) keys.
  const std::int64_t growing = std::clamp<std::int64_t>(reach - (k - s), 0, s);
  return growing * (k - s) + growing * (growing + 1) / 2 + (s - growing) * reach;
}

}  // namespace

StateWidths state_widths(Precision precision, Optimizer optimizer) {
  StateWidths w{k4, k4, 0, k4, 0, 0};
  if (precision == Precision::fp64) w = {16, 16, 0, 16, 0, 0};
  if (precision == Precision::bf16_fsdp) {
    w.gathered = k2;
  } else if (is_mixed(precision) && !is_autocast(precision)) {
    w.weight = k2;
    w.master = k4;
    const bool low =
        precision == Precision::bf16_mixed_low_gradients || precision == Precision::fp16_mixed_low_gradients;
    w.gradient = low ? k2 : k4;
  }
  if (w.gathered == 0) w.gathered = w.weight;
  w.scaled = optimizer == Optimizer::adam8bit;
  if (w.scaled) w.moment = 2;
  w.moments = optimizer == Optimizer::adamw || w.scaled ? 2 : optimizer == Optimizer::momentum ? 1 : 0;
  return w;
}

namespace {

/// What fused attention of global or of local layers executes, on whole sequences.
AttentionPasses set_attention(const Scenario& scenario, bool training, bool local, Sizes& s) {
  const auto of = [&](Symbol symbol) -> std::int64_t& { return s.symbol[static_cast<int>(symbol)]; };
  const std::int64_t window = local ? scenario.model.sliding_window : 0, queries = of(Symbol::query),
                     keys = of(Symbol::key);
  const AttentionPasses passes = attention_passes(scenario, s.product_dtype, training, keys, window);
  const AttentionPass law = tiled_pass(scenario, 1);
  const std::int64_t by_law = pass_pairs(law, queries, keys, window);
  const auto executed = [&](const AttentionPass& pass) {
    const bool same = pass.query_tile == law.query_tile && pass.key_tile == law.key_tile &&
                      pass.skips_masked_tiles == law.skips_masked_tiles;
    return pass.products == 0 ? 0 : pass.products * (same ? by_law : pass_pairs(pass, queries, keys, window));
  };
  of(local ? Symbol::flash_pairs_local : Symbol::flash_pairs_global) = by_law;
  of(local ? Symbol::flash_forward_local : Symbol::flash_forward_global) = executed(passes.forward);
  of(local ? Symbol::flash_backward_local : Symbol::flash_backward_global) =
      executed(passes.backward[0]) + executed(passes.backward[1]);
  if (training)  // the pieces of a prompt or of a decode step are not described
    s.balance[local] = {balance_of({passes.forward, {}}, queries, keys, window),
                        balance_of(passes.backward, queries, keys, window)};
  return passes;
}

/// Cuts the sizes of one rank out of the whole.
void shard(const Scenario& scenario, bool training, const AttentionPasses& passes, Sizes& s) {
  s.whole_symbol = s.symbol;
  const Layout& l = s.layout;
  if (l.tensor == 1 && l.context == 1) return;
  s.sharded = true;
  const auto of = [&](Symbol symbol) -> std::int64_t& { return s.symbol[static_cast<int>(symbol)]; };
  of(Symbol::heads) /= l.tensor;
  of(Symbol::mlp) /= l.tensor;
  of(Symbol::kv_heads) = std::max<std::int64_t>(1, of(Symbol::kv_heads) / l.tensor);  // replicated beyond G (E37)
  of(Symbol::vocabulary) = (of(Symbol::vocabulary) + l.tensor - 1) / l.tensor;        // padded
  of(Symbol::query) /= l.context;
  of(Symbol::shard) /= l.context * (training && scenario.training.parallel.sequence ? l.tensor : 1);
  of(Symbol::model_pairs_global) /= l.context;
  if (l.context == 1) return;
  const auto ring = [&](const AttentionPass& pass) {
    return ring_pairs(of(Symbol::key), l.context, scenario.training.parallel.context_sharding, pass);
  };
  of(Symbol::flash_pairs_global) = ring(tiled_pass(scenario, 1));
  of(Symbol::flash_forward_global) = passes.forward.products * ring(passes.forward);
  of(Symbol::flash_backward_global) = 0;
  for (const AttentionPass& pass : passes.backward)
    if (pass.products > 0) of(Symbol::flash_backward_global) += pass.products * ring(pass);
}

}  // namespace

std::int64_t ring_pairs(std::int64_t sequence, std::int64_t ranks, ContextSharding sharding,
                        const AttentionPass& pass) {
  const std::int64_t n = sequence / ranks;
  const auto triangle = [&](std::int64_t side) { return pass_pairs(pass, side, side, 0); };
  switch (sharding) {
    case ContextSharding::naive:  // the last rank works in every iteration
      return triangle(n) + (ranks - 1) * n * n;
    case ContextSharding::striped:  // a triangle in every iteration
      return ranks * triangle(n);
    case ContextSharding::zigzag:  // two triangles and a square at first, half of the square afterwards
      return 2 * triangle(n / 2) + n / 2 * (n / 2) + (ranks - 1) * (n * n / 2);
  }
  return 0;
}

Sizes sizes_of(const Scenario& scenario, Work work, std::int64_t context) {
  const bool training = work == Work::training;
  const Model& m = scenario.model;
  const Training& t = scenario.training;
  Sizes s;
  const auto set = [&](Symbol symbol, std::int64_t value) { s.symbol[static_cast<int>(symbol)] = value; };
  const std::int64_t keys = training ? t.sequence : work == Work::decode ? context : scenario.inference.prompt_tokens;
  const std::int64_t sequence = work == Work::decode ? 1 : keys;
  set(Symbol::batch, training ? t.micro_batch : scenario.inference.batch);
  set(Symbol::query, sequence);
  set(Symbol::shard, sequence);
  set(Symbol::key, keys);
  set(Symbol::local_key, m.sliding_window > 0 ? std::min(m.sliding_window, keys) : keys);
  set(Symbol::hidden, m.hidden_size);
  set(Symbol::heads, m.heads);
  set(Symbol::kv_heads, m.kv_heads);
  set(Symbol::head, m.head_size);
  set(Symbol::mlp, m.mlp_size);
  set(Symbol::vocabulary, m.vocabulary_size);
  set(Symbol::positions, position_rows(m));
  set(Symbol::patches, patches(m));
  set(Symbol::patch, m.image_channels * m.patch_size * m.patch_size);
  set(Symbol::outputs, m.outputs);
  set(Symbol::candidates, training ? t.micro_batch * data_parallel(scenario) : 0);
  set(Symbol::rank, t.adapter.rank);
  const Software& w = scenario.software;
  const Precision p = t.precision;
  s.product_dtype = training ? compute_dtype(p) : scenario.inference.precision;
  const CausalFlop convention = m.causal ? t.causal_flop : CausalFlop::full;
  set(Symbol::model_pairs_global, model_pairs(sequence, keys, 0, convention));
  set(Symbol::model_pairs_local, model_pairs(sequence, keys, m.sliding_window, convention));
  const AttentionPasses passes = set_attention(scenario, training, false, s);
  if (m.sliding_window > 0) set_attention(scenario, training, true, s);

  s.layout = layout_of(scenario, work);
  s.layers = all_layers(s.layout);
  s.micro_batches = training ? micro_batches(scenario) : 1;
  shard(scenario, training, passes, s);
  s.alignment = scenario.software.alignment_bytes;

  const auto width = [&](Width w_, std::int8_t half) { s.half_bytes[static_cast<int>(w_)] = half; };
  const std::int8_t wide = s.product_dtype == Dtype::fp64 ? 16 : k4;
  const std::int8_t narrow = training ? (is_mixed(p) ? k2 : wide)
                                      : std::max<std::int8_t>(static_cast<std::int8_t>(half_bytes(s.product_dtype)),
                                                              k2);  // fp8: operands of products only
  const std::int8_t stream = training && is_autocast(p) ? k4 : narrow;
  s.state = state_widths(training ? p : Precision::fp32, t.optimizer);
  if (!training) s.state = {narrow, 0, 0, 0, 0, narrow};
  if (is_serving(work)) s.state.weight = static_cast<std::int8_t>(half_bytes(scenario.inference.weights));
  width(Width::activation, narrow);
  width(Width::stream, stream);
  width(Width::probability, stream);
  width(Width::weight, p == Precision::bf16_fsdp && training ? k2 : s.state.weight);
  width(Width::gradient, s.state.gradient);
  width(Width::logits, w.narrow_logits ? narrow : wide);
  width(Width::statistic, wide);
  width(Width::mask, 2);
  width(Width::index, k4);
  width(Width::fp8, static_cast<std::int8_t>(half_bytes(Dtype::fp8)));
  width(Width::packed, static_cast<std::int8_t>(half_bytes(t.frozen_weights)));
  width(Width::cache, static_cast<std::int8_t>(half_bytes(scenario.inference.cache)));

  const Device& d = scenario.hardware;
  const FlopPerSecond rate = d.rate(s.product_dtype);
  s.seconds_per_flop = rate.value() > 0 ? 1 / rate.value() : 0;
  s.rates = device_rates(d, w, s.product_dtype, m.head_size);
  if (training && p == Precision::fp8_mixed)
    s.rates.block_time_per_flop = time_per_flop(d, Dtype::fp8, s.product_dtype);
  s.flash_query_tile = w.flash_query_tile;
  assert((d.products.empty() || d.rates) && "a device with measured points needs index_measurements");
  if (measured_in(d, s.product_dtype)) s.calibrated = d.rates.get();
  s.bias_is_a_loop = d.kind == "cpu";
  if (scenario.software.id == "dtcalc-cpu") s.workspace = cpu_workspace(scenario, training);
  if (scenario.software.id == "dtcalc-cuda") s.workspace = cuda_workspace(scenario, training).total();
  return s;
}

void place_stages(const Scenario& scenario, Sizes& sizes) {
  sizes.layout = layout_of(scenario, Work::training);
  sizes.layers = all_layers(sizes.layout);
  sizes.micro_batches = micro_batches(scenario);
}

void evaluate_extents(const Structure& structure, const std::array<std::int64_t, kSymbols>& symbol,
                      std::array<std::int64_t, kMaxExtents>& values) {
  const std::size_t count = structure.extents.size();
  for (std::size_t e = 0; e < count; ++e) {
    const Extent& extent = structure.extents[e];
    std::int64_t value = extent.factor;
    for (int i = 0; i < extent.length; ++i) value *= symbol[static_cast<int>(extent.symbols[i])];
    values[e] = value;
  }
}

}  // namespace dtcalc
