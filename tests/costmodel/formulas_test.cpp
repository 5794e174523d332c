// The closed forms of training (parameters, memory, FLOPs, time) against values typed in from the notes and their
// errata, against published parameter counts and against each other.
#include <cstdint>
#include <limits>

#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "costmodel/formulas/time.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;

namespace {

Architecture gpt(std::int64_t L, std::int64_t D, std::int64_t A, std::int64_t K = 1024) {
  Architecture m;
  m.L = L, m.D = D, m.A = m.G = A, m.H = D / A, m.F = 4 * D, m.K = K;
  return m;
}

Architecture gpt3() { return gpt(96, 12288, 96, 2048); }

Architecture llama(std::int64_t L, std::int64_t D, std::int64_t A, std::int64_t G, std::int64_t F, std::int64_t V) {
  Architecture m;
  m.L = L, m.D = D, m.A = A, m.G = G, m.H = D / A, m.F = F, m.V = V;
  m.glu = true, m.act = Nonlinearity::silu, m.norm = NormKind::rmsnorm, m.pos = Positions::rope, m.tied = false;
  m.qkv_bias = m.o_bias = m.mlp_bias = false;
  return m;
}

Architecture falcon40b() {
  Architecture m = llama(60, 8192, 128, 8, 32768, 65024);
  m.glu = false, m.act = Nonlinearity::gelu, m.norm = NormKind::layernorm, m.parallel = true, m.tied = true;
  return m;
}

Architecture palm540b() {
  Architecture m = llama(118, 18432, 48, 1, 73728, 256000);
  m.H = 256, m.norm = NormKind::layernorm_nobias, m.parallel = true, m.norms_per_block = 1, m.tied = true;
  return m;
}

Architecture gptj() {
  Architecture m = gpt(28, 4096, 16);
  m.V = 50400, m.pos = Positions::rope, m.parallel = true, m.norms_per_block = 1, m.tied = false, m.head_bias = true;
  m.qkv_bias = m.o_bias = false;
  return m;
}

std::int64_t total_of(const Architecture& m) { return param_count(m).total.value(); }

double gib(Bytes b) { return static_cast<double>(b.value()) / (1 << 30); }

}  // namespace

TEST_CASE("parameter counts equal the published checkpoints", "[formulas]") {
  CHECK(total_of(gpt(12, 768, 12)) == 124'439'808);
  CHECK(total_of(gpt(24, 1024, 16)) == 354'823'168);
  CHECK(total_of(gpt(36, 1280, 20)) == 774'030'080);
  CHECK(total_of(gpt(48, 1600, 25)) == 1'557'611'200);
  CHECK(total_of(gpt3()) == 174'604'259'328);
  CHECK(total_of(gptj()) == 6'050'882'784);
  CHECK(total_of(llama(32, 4096, 32, 32, 11008, 32000)) == 6'738'415'616);
  CHECK(total_of(llama(40, 5120, 40, 40, 13824, 32000)) == 13'015'864'320);
  CHECK(total_of(llama(80, 8192, 64, 8, 28672, 32000)) == 68'976'648'192);
  CHECK(total_of(llama(32, 4096, 32, 8, 14336, 128256)) == 8'030'261'248);
  CHECK(total_of(llama(80, 8192, 64, 8, 28672, 128256)) == 70'553'706'496);
  CHECK(total_of(llama(126, 16384, 128, 8, 53248, 128256)) == 405'853'388'800);
  CHECK(total_of(llama(32, 4096, 32, 8, 14336, 32000)) == 7'241'732'096);
  CHECK(total_of(falcon40b()) == 41'303'293'952);
  CHECK(total_of(palm540b()) == 540'356'474'880);
}

TEST_CASE("the parts of a parameter count add up", "[formulas]") {
  const Architecture m = GENERATE(gpt3(), gptj(), falcon40b(), palm540b());
  const ParameterCount c = param_count(m);
  CHECK(c.attention == c.query + c.key_value + c.output);
  CHECK(c.block == c.attention + c.mlp + c.norms);
  CHECK(c.total == c.block * m.L + c.embedding + c.position + c.final_norm + c.head);
  CHECK(c.total == c.non_embedding + c.embedding + c.position + c.head);
}

TEST_CASE("each matrix of a GLU has its bias", "[formulas]") {
  Architecture m = gpt(12, 768, 12);
  const std::int64_t plain = total_of(m);
  m.glu = true;
  CHECK(total_of(m) - plain == 12 * (768 * 3072 + 3072));
  m.mlp_bias = false;
  CHECK(total_of(m) - plain == 12 * (768 * 3072 - 3072 - 768));
}

TEST_CASE("a decode step reads neither the position table nor an untied embedding", "[formulas]") {
  Architecture m = gpt(12, 768, 12);
  CHECK(decoded_parameters(m).value() == 124'439'808 - 1024 * 768);
  m.tied = false;
  CHECK(decoded_parameters(m).value() == 124'439'808 - 1024 * 768);
}

TEST_CASE("norms of queries and keys are counted", "[formulas]") {
  Architecture m = llama(28, 1024, 16, 8, 3072, 151936);  // Qwen3-0.6B
  m.H = 128, m.tied = true, m.query_key_norm = QueryKeyNorm::per_head;
  CHECK(total_of(m) == 596'049'920);
  m.query_key_norm = QueryKeyNorm::full;
  CHECK(total_of(m) == 596'049'920 + 28 * (24 * 128 - 2 * 128));
}

TEST_CASE("(3.2) and (F.1) are the leading order of the exact count", "[formulas]") {
  CHECK(eq_3_2_parameters(96, 12288, 4) == Parameters(173'946'175'488));
  CHECK(eq_F_1_parameters(96, 12288, 4, 50257) == Parameters(174'563'733'504));
  CHECK(approximate_parameters(gpt3()) == eq_F_1_parameters(96, 12288, 4, 50257));
  CHECK(eq_7_10_parameters_per_worker(96, 12288, 4, 8) * 8 == eq_3_2_parameters(96, 12288, 4));
  // What (F.1) leaves out: K D, (4 + 9) D L of norms and biases, and the final norm's 2 D.
  const std::int64_t D = 12288;
  CHECK(total_of(gpt3()) - eq_F_1_parameters(96, D, 4, 50257).value() == 2048 * D + 13 * D * 96 + 2 * D);
}

TEST_CASE("mixed precision of GPT-3 takes 2926 GiB of state (E08)", "[formulas]") {
  const std::int64_t N = 174'563'733'504;
  CHECK(gib(eq_3_3_model(N)) == Approx(325.15).epsilon(1e-4));
  CHECK(gib(eq_3_4_gradients(N)) == Approx(650.30).epsilon(1e-4));
  CHECK(gib(eq_3_3_optimizer(N)) == Approx(1950.89).epsilon(1e-4));
  CHECK(eq_3_12_non_activation(N) == eq_3_3_model(N) + eq_3_4_gradients(N) + eq_3_3_optimizer(N));
  CHECK(eq_3_12_non_activation(N) == state_bytes(N, StateScheme::mixed).total);
  CHECK(eq_3_1_model(N) + eq_3_1_optimizer(N) + eq_3_4_gradients(N) == state_bytes(N, StateScheme::fp32).total);
}

TEST_CASE("(F.2) gives (3.3) with a master copy and (3.1) without (E61)", "[formulas]") {
  CHECK(eq_F_2_optimizer(1000, 2, 4, true) == eq_3_3_optimizer(1000));
  CHECK(eq_F_2_optimizer(1000, 2, 4, false) == eq_3_1_optimizer(1000));
  CHECK(eq_F_2_optimizer(1000, 0, 4, false) == Bytes(0));
  CHECK(eq_F_2_model(1000, 2) == eq_3_3_model(1000));
}

TEST_CASE("ZeRO divides optimizer, gradients, parameters in that order", "[formulas]") {
  const auto per_rank = [](std::int64_t stage) {
    return zero_state_bytes_per_rank(7'500'000'000, StateScheme::mixed_fp16_grads, stage, 64);
  };
  CHECK(per_rank(0) == 120e9);  // Rajbhandari et al. 2020, Fig. 1: 120, 31.4, 16.6, 1.9 GB
  CHECK(per_rank(1) == Approx(31.4e9).epsilon(2e-3));
  CHECK(per_rank(2) == Approx(16.6e9).epsilon(3e-3));
  CHECK(per_rank(3) == 1.875e9);
}

TEST_CASE("(3.7) is the sum of its parts and gives (3.8)", "[formulas]") {
  const std::int64_t B = 3, S = 512, D = 640, L = 5, A = 10;
  const std::int64_t p = GENERATE(1, 2, 4, 8);
  const double E = GENERATE(4.0, 2.5);
  CHECK(eq_3_7_activations(B, S, D, L, A, E, p) ==
        eq_3_5_attention(B, S, D, L, A, p) + eq_3_6_mlp(B, S, D, L, E, p) + layernorm_activations(B, S, D, L, p));
  CHECK(eq_3_8_activations_p4(B, S, D, L, A) == eq_3_7_activations(B, S, D, L, A, 4, 4));
  CHECK(eq_3_8_activations_p2(B, S, D, L, A) == eq_3_7_activations(B, S, D, L, A, 4, 2));
}

TEST_CASE("(7.12) is L times (7.11) and the norms; at T=1 it is (3.7); (7.13) divides all of it", "[formulas]") {
  const std::int64_t B = 2, S = 256, D = 768, L = 3, A = 12, p = 2;
  const std::int64_t T = GENERATE(1, 2, 4);
  const double E = 4;
  CHECK(eq_7_12_activations(B, S, D, L, A, E, p, T) ==
        (eq_7_11_attention(B, S, D, A, p, T) + eq_7_11_mlp(B, S, D, E, p, T)) * L +
            layernorm_activations(B, S, D, L, p));
  CHECK(eq_7_12_activations(B, S, D, L, A, E, p, 1) == eq_3_7_activations(B, S, D, L, A, E, p));
  CHECK(eq_7_13_activations(B, S, D, L, A, E, p, T) * T == eq_3_7_activations(B, S, D, L, A, E, p));
}

TEST_CASE("(3.9) is where fixed and activation memory balance", "[formulas]") {
  CHECK(eq_3_9_b_min(5120, 2048, 40) == Approx(0.625));  // section 3 of the errata
  CHECK(eq_3_9_b_min(12288, 2048, 96) == 1.5);
  const std::int64_t L = 7, D = 12288, S = 2048, A = 96;
  const std::int64_t N = eq_3_2_parameters(L, D, 4).value();
  const Bytes dearer = eq_3_3_model(N) + eq_3_3_optimizer(N) - eq_3_1_model(N) - eq_3_1_optimizer(N);
  const Bytes saved = eq_3_8_activations_p4(1, S, D, L, A) - eq_3_8_activations_p2(1, S, D, L, A);
  CHECK(dearer / saved == Approx(1.5));
}

TEST_CASE("GPT-3's case study (E59)", "[formulas]") {
  const std::int64_t N = 174'563'733'504, D = 12288, L = 96, A = 96;
  // (3.14): 3.74e-2 BS (1 + S/870) GiB.
  CHECK(gib(eq_3_8_activations_p2(1, 2048, D, L, A)) == Approx(3.74e-2 * 2048 * (1 + 2048.0 / 870)).epsilon(2e-3));
  CHECK(eq_3_15_activation_ratio(1, 2048, D, L, A, N) == Approx(0.0876).epsilon(1e-3));
  CHECK(eq_3_15_activation_ratio(3, 2048, D, L, A, N) == Approx(3 * eq_3_15_activation_ratio(1, 2048, D, L, A, N)));
  // (3.16): 366 GiB + 1.43e-2 BS + 5.4e-6 BS^2 GiB at T = 8.
  CHECK(gib(eq_3_16_total(1, 2048, D, L, A, N, 8)) ==
        Approx(366 + 1.43e-2 * 2048 + 5.4e-6 * 2048 * 2048).epsilon(1e-3));
  CHECK(eq_3_16_total(1, 2048, D, L, A, N, 8) ==
        Bytes(eq_3_12_non_activation(N).value() / 8) + eq_7_12_activations(1, 2048, D, L, A, 4, 2, 8));
}

TEST_CASE("the tensor walk reduces to the notes' block", "[formulas]") {
  const Architecture m = gpt3();
  ActivationOptions o;
  o.p = GENERATE(2, 4);
  o.T = GENERATE(1, 8);
  CHECK(activation_bytes(m, 2, 2048, o) == eq_7_12_activations(2, 2048, m.D, m.L, m.A, 4, o.p, o.T));
  o.sp = true;
  const Bytes shards = eq_7_13_activations(2, 2048, m.D, m.L, m.A, 4, o.p, o.T);
  CHECK(activation_bytes(m, 2, 2048, o) == shards);
  // Two gathered inputs per block, of which a shard was counted.
  o.sp_save_shards = false;
  CHECK(activation_bytes(m, 2, 2048, o) - shards == Bytes(2 * 2048 * m.L * 2 * o.p * m.D / o.T * (o.T - 1)));
}

TEST_CASE("the tensor walk without dropout, with recomputation and other variants", "[formulas]") {
  Architecture m = gpt3();
  const std::int64_t S = 1024, tokens = S * m.L;
  const ActivationOptions with;
  const Bytes all = activation_bytes(m, 1, S, with);

  ActivationOptions o = with;
  o.attention_dropout = false;  // E05: only the softmax output, p A S
  CHECK(all - activation_bytes(m, 1, S, o) == Bytes(tokens * 3 * m.A * S));
  o = with, o.residual_dropout = false;
  CHECK(all - activation_bytes(m, 1, S, o) == Bytes(tokens * 2 * m.D));
  o = with, o.norm_statistics = true;
  CHECK(activation_bytes(m, 1, S, o) - all == Bytes(tokens * 2 * 8));
  m.norm = NormKind::rmsnorm;  // no mean
  CHECK(activation_bytes(m, 1, S, o) - all == Bytes(tokens * 2 * 4));
  m = gpt3();
  o = with, o.recomputation = Recomputation::selective;  // Korthikanti et al. 2022: 34 sbh remain
  CHECK(activation_bytes(m, 1, S, o) == Bytes(tokens * 34 * m.D));
  o = with, o.flash = true;
  CHECK(activation_bytes(m, 1, S, o) == Bytes(tokens * (34 * m.D + 4 * m.A)));
  o = with, o.recomputation = Recomputation::full;
  CHECK(activation_bytes(m, 1, S, o) == Bytes(tokens * 2 * m.D));

  m.act = Nonlinearity::relu;  // E26: the MLP term is E p instead of 2 E p
  CHECK(all - activation_bytes(m, 1, S, with) == Bytes(tokens * 2 * m.F));
  m = gpt3(), m.glu = true;  // E80: 4 F p instead of 2 F p
  CHECK(activation_bytes(m, 1, S, with) - all == Bytes(tokens * 2 * 2 * m.F));
  m = gpt3(), m.G = 1;
  CHECK(all - activation_bytes(m, 1, S, with) == Bytes(tokens * 2 * 2 * 95 * m.H));
  m = gpt3(), m.parallel = true;  // one residual stream feeds both norms
  CHECK(all - activation_bytes(m, 1, S, with) == Bytes(tokens * 2 * m.D));
  m.norms_per_block = 1;  // and one norm feeds both
  CHECK(all - activation_bytes(m, 1, S, with) == Bytes(tokens * 4 * m.D));
}

TEST_CASE("key and value heads are replicated beyond T = G (E37)", "[formulas]") {
  const Architecture m = llama(80, 8192, 64, 8, 28672, 32000);
  ActivationOptions o;
  o.flash = true, o.attention_dropout = o.residual_dropout = false;
  const auto per_token = [&](std::int64_t T) {
    o.T = T;
    return activation_bytes(m, 1, 1, o).value() / m.L;
  };
  const std::int64_t replicated = 8 * m.D, sharded = 4 * m.D + 8 * m.F + 4 * m.A;
  CHECK(per_token(8) == replicated + sharded / 8 + 4 * m.H);
  CHECK(per_token(16) == replicated + sharded / 16 + 4 * m.H);
}

TEST_CASE("GPT-2's head is 20 % of the rest (E62)", "[formulas]") {
  Architecture m = gpt(12, 768, 12);
  const Bytes head = head_activation_bytes(m, 8, 1024, 2, 4, true, 1, false);
  CHECK(head == Bytes(8 * 1024 * (5 * 768 + 4 * 50257)));
  CHECK(head / activation_bytes(m, 8, 1024, {}) == Approx(0.195).epsilon(1e-2));
  m.final_norm = false;
  CHECK(head - head_activation_bytes(m, 8, 1024, 2, 4, true, 1, false) == Bytes(8 * 1024 * 2 * 768));
}

TEST_CASE("training_memory adds state per worker and activations", "[formulas]") {
  ActivationOptions o;
  o.T = 8;
  const TrainingMemory memory = training_memory(gpt3(), 1, 2048, StateScheme::mixed, o, false);
  CHECK(memory.non_act == 18.0 * 174'604'259'328 / 8);
  CHECK(memory.total == memory.params + memory.grad + memory.optim + memory.act);
  CHECK(training_memory(gpt3(), 1, 2048, StateScheme::mixed, o, true).non_act == 18.0 * 174'563'733'504 / 8);
}

TEST_CASE("(4.2) is three forward passes of the notes' block and equals 72BLSD^2(1+S/6D)", "[formulas]") {
  const Architecture m = gpt3();
  const std::int64_t B = 2, S = GENERATE(128, 2048);
  const Flop C = eq_4_2_model_flops(B, S, m.D, m.L, 4);
  CHECK(C == model_flops(m, B, S, false, HeadPositions::none));
  CHECK(C.value() == Approx(model_flops_gpt(static_cast<double>(B), static_cast<double>(S), 12288, 96)).epsilon(1e-14));
  // (4.3) leaves S/((2+E)D) of it out.
  const std::int64_t N = eq_3_2_parameters(m.L, m.D, 4).value();
  const Flop leading = eq_4_3_model_flops(B, S, N);
  CHECK(C / leading == Approx(1 + attention_share(static_cast<double>(S), 12288, 4, false)).epsilon(1e-14));
  CHECK(leading / forward_flops_essentials(B, S, N) == 3);
}

TEST_CASE("forward FLOPs add up, and causal pairs are S(S+1)/2", "[formulas]") {
  const Architecture m = falcon40b();
  const ForwardFlops full = forward_flops(m, 2, 64, false, HeadPositions::all);
  const ForwardFlops half = forward_flops(m, 2, 64, true, HeadPositions::last);
  CHECK(full.total == full.query + full.key_value + full.scores + full.context + full.output + full.mlp + full.head);
  CHECK(half.scores / full.scores == 65.0 / 128);
  CHECK(full.head / half.head == 64);
  CHECK(full.head == Flop(2.0 * 2 * 64 * 8192 * 65024));
  CHECK(full.key_value / full.query == 2.0 * 8 / 128);
  CHECK(full.scores == Flop(2.0 * 60 * 2 * 128 * 64 * 64 * 64));
}

TEST_CASE("backward FLOPs: twice forward, less what frozen weights save", "[formulas]") {
  const Architecture m = llama(4, 512, 8, 2, 1408, 1000);
  const bool causal = GENERATE(false, true);
  const auto backward = [&](const Frozen& frozen) {
    return backward_flops(m, 2, 96, causal, HeadPositions::all, frozen);
  };
  const ForwardFlops f = forward_flops(m, 2, 96, causal, HeadPositions::all);
  CHECK(backward({}) == f.total * 2);
  CHECK(model_flops(m, 2, 96, causal, HeadPositions::all) == f.total * 3);

  Frozen base;
  base.q = base.k = base.v = base.o = base.gate = base.up = base.down = base.lm_head = true;
  CHECK(backward(base) == f.total + f.scores + f.context);  // only dgrad of Linears, four products of attention

  Frozen query;
  query.q = true;
  CHECK(backward(query) == f.total * 2 - f.query);

  Frozen all = base;
  all.embedding = all.norms = true;
  CHECK(backward(all) == Flop(0));  // nothing to train
  all.lm_head = false;
  CHECK(backward(all) == f.head);  // the head alone needs no dgrad
  all.lm_head = true, all.down = false;
  // Trained down projections: wgrad of down in every block, dgrad of everything after the first of them.
  const Flop blocks = f.total - f.head, pairs = f.scores + f.context, down = f.mlp / 3.0;
  CHECK(backward(all) == (blocks + pairs) * 0.75 + down + f.head);
}

TEST_CASE("backward FLOPs follow the need for gradients through one block", "[formulas]") {
  Architecture m = llama(1, 512, 8, 2, 1408, 1000);
  const ForwardFlops f = forward_flops(m, 2, 96, false, HeadPositions::all);
  const Frozen everything{true, true, true, true, true, true, true, true, true, true, true};
  const auto backward = [&](const Frozen& frozen) {
    return backward_flops(m, 2, 96, false, HeadPositions::all, frozen);
  };
  Frozen but_key = everything;  // wgrad of k, dP and dK, dgrad of all that follows
  but_key.k = false;
  CHECK(backward(but_key) == f.key_value / 2.0 + f.scores * 2 + f.output + f.mlp + f.head);
  Frozen but_value = everything;  // wgrad of v, dV
  but_value.v = false;
  CHECK(backward(but_value) == f.key_value / 2.0 + f.scores + f.output + f.mlp + f.head);
  m.parallel = true;  // the MLP does not read attention's output
  CHECK(backward(but_value) == f.key_value / 2.0 + f.scores + f.output + f.head);
  m.parallel = false;

  Frozen but_position = everything;
  but_position.position = false;
  CHECK(backward(but_position) == Flop(0));  // RoPE has no table
  m.pos = Positions::learned;
  CHECK(backward(but_position) == f.total + f.scores + f.context);
  m.pos = Positions::rope;

  Frozen but_norms = everything;
  but_norms.norms = false;
  CHECK(backward(but_norms) == f.total + f.scores + f.context);
  m.norms_per_block = 0;  // only the final norm is left
  CHECK(backward(but_norms) == f.head);
}

TEST_CASE("hardware FLOPs add what is computed again", "[formulas]") {
  const Architecture m = gpt3();
  const Flop model = model_flops(m, 1, 2048, false, HeadPositions::none);
  const auto hardware = [&](Recomputation r, bool flash) {
    return hardware_flops(m, 1, 2048, false, HeadPositions::none, r, flash);
  };
  CHECK(hardware(Recomputation::none, false) == model);
  CHECK(hardware(Recomputation::full, false) / model == Approx(4.0 / 3).epsilon(1e-15));
  const Flop pairs = forward_flops(m, 1, 2048, false, HeadPositions::none).scores;
  CHECK(hardware(Recomputation::selective, false) == model + pairs * 2);
  CHECK(hardware(Recomputation::none, true) == model + pairs);
}

TEST_CASE("counts beyond 64 bits saturate or become doubles, never wrap", "[formulas]") {
  const std::int64_t B = 1 << 20, S = 1 << 20;
  CHECK(eq_3_7_activations(B, S, 16384, 126, 128, 4, 2) == Bytes(std::numeric_limits<std::int64_t>::max()));
  CHECK(model_flops(gpt3(), B, S, false, HeadPositions::all).value() > 1e24);
}

TEST_CASE("training time (5.1)-(5.4)", "[formulas]") {
  const FlopPerSecond a100(312e12);
  CHECK(eq_5_1_t_min(Flop(624e12), a100) == Seconds(2));
  // GPT-3 on 1024 A100 at 45 %: 25 days.
  CHECK(eq_5_2_train_time(175e9, 300e9, a100, 1024, 0.45).value() / 86400 == Approx(25.36).epsilon(1e-3));
  CHECK(eq_5_3_train_time(70e9, FlopPerSecond(312e15)) == eq_5_2_train_time(70e9, 1.4e12, FlopPerSecond(312e15)));
  CHECK(eq_5_3_train_time(70e9, FlopPerSecond(312e15)).value() == Approx(120 * 70e9 * 70e9 / 312e15));
  CHECK(eq_5_4_utilization(Seconds(2), Seconds(5)) == 0.4);  // E03: a slower iteration lowers it
}
