// Closed forms for training memory: (3.1)-(3.9), (3.12)-(3.16), (7.11)-(7.13), (F.2), ZeRO, and the exact sum of saved
// tensors for any architecture, recomputation and tensor/sequence parallelism. Used by the registry and by the tests.
//
// p is the bytes of one stored element; the saved-tensor equations keep every tensor in p bytes (Megatron-style bf16,
// E83). Bytes are exact and saturate at 2^63 - 1; what is sharded T ways is rounded up when T does not divide.
#pragma once

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

// ---- Parameters, gradients, optimizer (exact)

Bytes eq_3_1_model(std::int64_t N);      ///< (3.1) 4N: fp32 weights
Bytes eq_3_1_optimizer(std::int64_t N);  ///< (3.1) 8N: Adam's two fp32 moments, no master copy
Bytes eq_3_3_model(std::int64_t N);      ///< (3.3) 2N: half-precision weights of mixed precision
Bytes eq_3_3_optimizer(std::int64_t N);  ///< (3.3) 12N: fp32 master copy and two moments
Bytes eq_3_4_gradients(std::int64_t N);  ///< (3.4) 4N: fp32 accumulation (E60: ZeRO's accounting has 2N)

Bytes eq_F_2_model(std::int64_t N, std::int64_t p_model);  ///< (F.2) p_model N
/// (F.2) with E61: (s + 1) p_master N with a separate master copy, s p_master N without (then (3.1)). s moments: 0 SGD,
/// 1 momentum, 2 Adam.
Bytes eq_F_2_optimizer(std::int64_t N, std::int64_t s_states, std::int64_t p_master, bool separate_master);

/// Who keeps what; bytes per parameter for weights + gradients + optimizer with Adam.
enum class StateScheme : std::uint8_t {
  fp32,              ///< 4 + 4 + 8, (3.1) and (3.4)
  mixed,             ///< 2 + 4 + 12, (3.3) and (3.4)
  mixed_fp16_grads,  ///< 2 + 2 + 12, ZeRO's accounting (E60)
  autocast           ///< 4 + 4 + 8, torch.autocast: the 2-byte casts are transient (E60)
};
struct StateBytes {
  Bytes params, grad, optim, total;
};
StateBytes state_bytes(std::int64_t N, StateScheme scheme);

/// State bytes per data-parallel rank under ZeRO (announced in 7.2): stage 1 divides the optimizer by Nd, stage 2 also
/// the gradients, stage 3 also the parameters. An average over ranks (double): shards need not be whole.
double zero_state_bytes_per_rank(std::int64_t N, StateScheme scheme, std::int64_t stage, std::int64_t Nd);

// ---- Saved activations of the notes' block (MHA, H = D/A, E = F/D, GELU, two norms, dropout everywhere)

Bytes eq_3_5_attention(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A,
                       std::int64_t p);  ///< (3.5) BLS((5p+1)D + (2p+1)AS); exact with attention dropout (E05)
Bytes eq_3_6_mlp(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, double E,
                 std::int64_t p);  ///< (3.6) (2Ep+p+1)BDLS; exact
Bytes layernorm_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L,
                            std::int64_t p);  ///< text before (3.7): 2pBDLS; exact but for the final norm
/// (3.7) 2BDLS(p(E+4)+1) + ABLS^2(2p+1): all blocks. The head is O(V/DL) of it: 20 % of GPT-2 124M (E62).
Bytes eq_3_7_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                         std::int64_t p);
Bytes eq_3_8_activations_p4(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L,
                            std::int64_t A);  ///< (3.8) BLS(66D + 9AS) at E=4, p=4; E07: the notes say 15AS
Bytes eq_3_8_activations_p2(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L,
                            std::int64_t A);  ///< (3.8) BLS(34D + 5AS) at E=4, p=2
/// (3.9) least batch for which mixed precision saves memory: (4+2E)D^2 / (2(E+4)DS + 2AS^2), at E=4 6D^2/(8DS+AS^2).
/// Leading order ((3.2) for N). L cancels.
double eq_3_9_b_min(double D, double S, double A, double E = 4);

// ---- Case study of Sec. 3.2 (mixed precision, E=4), for any sizes

Bytes eq_3_12_non_activation(std::int64_t N);  ///< (3.12) 18N; E08: GPT-3 is 2926 GiB, not 1463 TiB
/// (3.14) is eq_3_8_activations_p2. (3.15) BLS(34D+5AS) / 18N; E59: 0.0876 B for GPT-3 at S=2048.
double eq_3_15_activation_ratio(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A,
                                std::int64_t N);
/// (3.16) 18N/T + (7.12) at p=2, E=4: total per tensor-parallel worker; E59: 366 GiB + 1.43e-2 BS + 5.4e-6 BS^2 GiB for
/// GPT-3.
Bytes eq_3_16_total(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, std::int64_t N,
                    std::int64_t T);

// ---- The same block under tensor and sequence parallelism (exact when T divides)

Bytes eq_7_11_attention(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t A, std::int64_t p,
                        std::int64_t T);  ///< (7.11) one block: BS((p+4p/T+1)D + (2p+1)AS/T)
Bytes eq_7_11_mlp(std::int64_t B, std::int64_t S, std::int64_t D, double E, std::int64_t p,
                  std::int64_t T);  ///< (7.11) one block: (2Ep/T+p+1)BDS
Bytes eq_7_12_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                          std::int64_t p, std::int64_t T);  ///< (7.12) all blocks, tensor parallel
/// (7.13), (F.2) all blocks, tensor and sequence parallel: (3.7)/T. The O(BSV) of the head is head_activation_bytes.
Bytes eq_7_13_activations(std::int64_t B, std::int64_t S, std::int64_t D, std::int64_t L, std::int64_t A, double E,
                          std::int64_t p, std::int64_t T);

// ---- Saved activations of any architecture (exact tensor walk)

enum class Recomputation : std::uint8_t {
  none,
  selective,  ///< the attention core (scores to context) is recomputed from q, k, v
  full        ///< only the block's input is saved
};

struct ActivationOptions {
  std::int64_t p = 2;
  std::int64_t T = 1;          ///< tensor parallel
  bool sp = false;             ///< sequence parallel on the same T workers
  bool sp_save_shards = true;  ///< with sp: inputs of column-parallel Linears are saved as shards, gathered again
  bool attention_dropout = true;
  bool residual_dropout = true;  ///< a mask for attention's and one for the MLP's output
  bool flash = false;  ///< saves q, k, v, context and 4 bytes of log-sum-exp per head and position; no S^2, no mask
  bool norm_statistics = false;  ///< 4 bytes of mean (LayerNorm only) and of 1/std per norm and position
  Recomputation recomputation = Recomputation::none;
};

/// Bytes that all L blocks save for the backward pass, per tensor-parallel worker. Reduces to (3.7), (7.12), (7.13) for
/// the notes' block. Key and value heads are replicated once T > G (E37).
Bytes activation_bytes(const Architecture& model, std::int64_t B, std::int64_t S, const ActivationOptions& options);

/// The O(BSV) of (3.7) and (7.13): input of the final norm, input of the head, mask of the embedding's dropout, and
/// logits of p_logits bytes sharded T ways (E62).
Bytes head_activation_bytes(const Architecture& model, std::int64_t B, std::int64_t S, std::int64_t p,
                            std::int64_t p_logits, bool embedding_dropout, std::int64_t T, bool sp);

/// Per-worker training memory without the head: state of N/T parameters and activation_bytes. Doubles: N/T need not be
/// whole.
struct TrainingMemory {
  double params, grad, optim, non_act, act, total;
  double ratio;  ///< act / non_act, (3.15)
};
/// N exact, or (F.1) if `approximate_count`.
TrainingMemory training_memory(const Architecture& model, std::int64_t B, std::int64_t S, StateScheme scheme,
                               const ActivationOptions& options, bool approximate_count);

}  // namespace dtcalc::formulas
