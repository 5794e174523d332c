// Training memory; see memory.hpp.
#include "costmodel/formulas/memory.hpp"

#include <algorithm>

#include "costmodel/formulas/exact.hpp"
#include "costmodel/formulas/parameters.hpp"

namespace dtcalc::formulas {
namespace {

struct PerParameter {
  std::int64_t params, grad, optim;
};

PerParameter per_parameter(StateScheme scheme) {
  switch (scheme) {
    case StateScheme::fp32:
    case StateScheme::autocast:
      return {4, 4, 8};
    case StateScheme::mixed:
      return {2, 4, 12};
    case StateScheme::mixed_fp16_grads:
      return {2, 2, 12};
  }
  return {};
}

Wide block_tokens(std::int64_t B, std::int64_t S, std::int64_t L) { return Wide{B} * S * L; }

}  // namespace

Bytes eq_3_1_model(std::int64_t N) { return bytes(Wide{4} * N); }
Bytes eq_3_1_optimizer(std::int64_t N) { return bytes(Wide{8} * N); }
Bytes eq_3_3_model(std::int64_t N) { return bytes(Wide{2} * N); }
Bytes eq_3_3_optimizer(std::int64_t N) { return bytes(Wide{12} * N); }
Bytes eq_3_4_gradients(std::int64_t N) { return bytes(Wide{4} * N); }

Bytes eq_F_2_model(std::int64_t N, std::int64_t p_model) { return bytes(Wide{p_model} * N); }

Bytes eq_F_2_optimizer(std::int64_t N, std::int64_t s_states, std::int64_t p_master, bool separate_master) {
  return bytes(Wide{s_states + (separate_master ? 1 : 0)} * p_master * N);
}

StateBytes state_bytes(std::int64_t N, StateScheme scheme) {
  const PerParameter per = per_parameter(scheme);
  return {bytes(Wide{per.params} * N), bytes(Wide{per.grad} * N), bytes(Wide{per.optim} * N),
          bytes(Wide{per.params + per.grad + per.optim} * N)};
}

double zero_state_bytes_per_rank(std::int64_t N, StateScheme scheme, std::int64_t stage, std::int64_t Nd) {
  const PerParameter per = per_parameter(scheme);
  const std::int64_t sharded =
      (stage >= 1 ? per.optim : 0) + (stage >= 2 ? per.grad : 0) + (stage >= 3 ? per.params : 0);
  const std::int64_t whole = per.params + per.grad + per.optim - sharded;
  return static_cast<double>((Wide{whole} * Nd + sharded) * N) / static_cast<double>(Nd);
}

Bytes eq_3_5_attention(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, std::int64_t p) {
  return bytes(block_tokens(B, S, L) * (Wide{5 * p + 1} * D + Wide{2 * p + 1} * A * S));
}

Bytes eq_3_6_mlp(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, double E, std::int64_t p) {
  return bytes(block_tokens(B, S, L) * (2 * width(E, D) * p + Wide{p + 1} * D));
}

Bytes layernorm_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t p) {
  return bytes(block_tokens(B, S, L) * 2 * p * D);
}

Bytes eq_3_7_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                         std::int64_t p) {
  const Wide linear = p * (width(E, D) + Wide{4} * D) + D;
  return bytes(2 * block_tokens(B, S, L) * linear + block_tokens(B, S, L) * A * S * (2 * p + 1));
}

Bytes eq_3_8_activations_p4(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A) {
  return bytes(block_tokens(B, S, L) * (Wide{66} * D + Wide{9} * A * S));
}

Bytes eq_3_8_activations_p2(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A) {
  return bytes(block_tokens(B, S, L) * (Wide{34} * D + Wide{5} * A * S));
}

double eq_3_9_b_min(double D, double S, double A, double E) {
  return (4 + 2 * E) * D * D / (2 * (E + 4) * D * S + 2 * A * S * S);
}

Bytes eq_3_12_non_activation(std::int64_t N) { return bytes(Wide{18} * N); }

double eq_3_15_activation_ratio(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A,
                                std::int64_t N) {
  return eq_3_8_activations_p2(B, S, D, L, A) / eq_3_12_non_activation(N);
}

Bytes eq_3_16_total(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, std::int64_t N,
                    std::int64_t T) {
  const Wide replicated = Wide{10} * D * T;
  return bytes(shard(Wide{18} * N + block_tokens(B, S, L) * (replicated + Wide{24} * D + Wide{5} * A * S), T));
}

Bytes eq_7_11_attention(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t A, std::int64_t p,
                        std::int64_t T) {
  const Wide sharded = Wide{4} * p * D + Wide{2 * p + 1} * A * S;
  return bytes(shard(Wide{B} * S * (Wide{p + 1} * D * T + sharded), T));
}

Bytes eq_7_11_mlp(std::int64_t B, std::int64_t S, std::int64_t D, double E, std::int64_t p, std::int64_t T) {
  return bytes(shard(Wide{B} * S * (2 * width(E, D) * p + Wide{p + 1} * D * T), T));
}

Bytes eq_7_12_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                          std::int64_t p, std::int64_t T) {
  const Wide linear = 2 * (Wide{2 * p + 1} * D * T + p * (width(E, D) + Wide{2} * D));
  return bytes(shard(block_tokens(B, S, L) * (linear + Wide{2 * p + 1} * A * S), T));
}

Bytes eq_7_13_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                          std::int64_t p, std::int64_t T) {
  const Wide linear = 2 * (p * (width(E, D) + Wide{4} * D) + D);
  return bytes(shard(block_tokens(B, S, L) * (linear + Wide{2 * p + 1} * A * S), T));
}

Bytes activation_bytes(const Architecture& m, std::int64_t B, std::int64_t S, const ActivationOptions& o) {
  const Wide D = m.D, p = o.p, T = o.T;
  // Bytes per token, times T so that shards stay whole numbers. `replicated` is sharded only by sequence parallelism.
  const Wide replicated = o.sp ? 1 : T;
  if (o.recomputation == Recomputation::full) return bytes(shard(block_tokens(B, S, m.L) * p * D * replicated, o.T));

  // Norms of a parallel block share their input, the residual stream; every other norm has an input of its own.
  const Wide norm_inputs = m.parallel ? std::min<std::int64_t>(m.norms_per_block, 1) : m.norms_per_block;
  // Attention and MLP read one tensor each, or the same one when a single norm feeds both.
  const Wide linear_inputs = m.parallel && m.norms_per_block < 2 ? 1 : 2;
  const Wide gathered = o.sp && o.sp_save_shards ? 1 : T;
  Wide per_token = p * D * (norm_inputs * replicated + linear_inputs * gathered);
  if (o.residual_dropout) per_token += 2 * D * replicated;
  if (o.norm_statistics) per_token += replicated * m.norms_per_block * (m.norm == NormKind::rmsnorm ? 4 : 8);

  const Wide query_and_context = 2 * p * m.A * m.H;
  const Wide key_and_value = 2 * p * m.H * std::max<Wide>(m.G, T);
  per_token += query_and_context + key_and_value;
  if (o.recomputation != Recomputation::selective) {
    if (o.flash) {
      per_token += Wide{4} * m.A;
    } else {
      per_token += (o.attention_dropout ? 2 * p + 1 : p) * m.A * S;
    }
  }

  // The down projection's input, the nonlinearity's input if it is needed, and with a GLU its two factors.
  const Wide mlp_tensors = 1 + (derivative_from_output(m.act) ? 0 : 1) + (m.glu ? 2 : 0);
  per_token += mlp_tensors * p * m.F;
  return bytes(shard(block_tokens(B, S, m.L) * per_token, o.T));
}

Bytes head_activation_bytes(const Architecture& m, std::int64_t B, std::int64_t S, std::int64_t p,
                            std::int64_t p_logits, bool embedding_dropout, std::int64_t T, bool sp) {
  const Wide replicated = sp ? 1 : T;
  const Wide hidden = Wide{p} * (m.final_norm ? 2 : 1) + (embedding_dropout ? 1 : 0);
  return bytes(shard(Wide{B} * S * (hidden * m.D * replicated + Wide{p_logits} * m.V), T));
}

TrainingMemory training_memory(const Architecture& model, std::int64_t B, std::int64_t S, StateScheme scheme,
                               const ActivationOptions& options, bool approximate_count) {
  const Parameters N = approximate_count ? approximate_parameters(model) : param_count(model).total;
  const StateBytes state = state_bytes(N.value(), scheme);
  const auto per_worker = [&](Bytes b) { return static_cast<double>(b.value()) / static_cast<double>(options.T); };
  TrainingMemory memory{};
  memory.params = per_worker(state.params);
  memory.grad = per_worker(state.grad);
  memory.optim = per_worker(state.optim);
  memory.non_act = per_worker(state.total);
  memory.act = static_cast<double>(activation_bytes(model, B, S, options).value());
  memory.total = memory.non_act + memory.act;
  memory.ratio = memory.act / memory.non_act;
  return memory;
}

}  // namespace dtcalc::formulas
