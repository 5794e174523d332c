// The sizes and variants of a decoder-only Transformer in the notes' symbols (App. A). Input of the general closed
// forms in this folder; deliberately not the scenario's Model, so that a mistake there cannot hide here.
#pragma once

#include <cstdint>

namespace dtcalc::formulas {

enum class NormKind : std::uint8_t {
  layernorm,         ///< gamma and beta, mean and standard deviation
  layernorm_nobias,  ///< gamma only (PaLM)
  rmsnorm            ///< gamma only, no mean
};
enum class Positions : std::uint8_t { learned, rope, alibi, none };
enum class Nonlinearity : std::uint8_t { gelu, silu, relu, tanh, sigmoid };
/// Norms on queries and keys: none, one vector of H shared by the heads each, or one of A H and one of G H.
enum class QueryKeyNorm : std::uint8_t { none, per_head, full };

/// True when the derivative follows from the output (relu, tanh, sigmoid), so the input is not saved (E26).
constexpr bool derivative_from_output(Nonlinearity act) {
  return act == Nonlinearity::relu || act == Nonlinearity::tanh || act == Nonlinearity::sigmoid;
}

struct Architecture {
  std::int64_t L = 12;     ///< blocks
  std::int64_t D = 768;    ///< hidden size
  std::int64_t A = 12;     ///< query heads
  std::int64_t G = 12;     ///< key and value heads; A is MHA, 1 is MQA
  std::int64_t H = 64;     ///< head width (need not be D / A)
  std::int64_t F = 3072;   ///< MLP width, E D
  std::int64_t V = 50257;  ///< vocabulary
  std::int64_t K = 1024;   ///< rows of the position table, if `pos` is learned

  bool glu = false;  ///< (2.2): a third MLP matrix (E80)
  Nonlinearity act = Nonlinearity::gelu;
  bool qkv_bias = true;
  bool o_bias = true;
  bool mlp_bias = true;
  NormKind norm = NormKind::layernorm;
  QueryKeyNorm query_key_norm = QueryKeyNorm::none;
  bool parallel = false;  ///< (2.4): attention and MLP read the same residual stream
  std::int64_t norms_per_block =
      2;  ///< 2 pre- or post-norm, 4 sandwich; of a parallel block 1 (GPT-J) or 2 (Falcon-40B)
  Positions pos = Positions::learned;
  bool tied = true;  ///< the head shares the embedding's matrix
  bool head_bias = false;
  bool final_norm = true;
};

}  // namespace dtcalc::formulas
