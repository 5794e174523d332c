// Kernel contracts: what a kernel reads and writes, in which operand position, and by which law its time is predicted.
//
// A software stack executes a program as a list of kernels, each an instance of a contract. The engine implements every
// contract that its profile can produce (a test holds the two lists equal); the cost model takes bytes, FLOPs and time
// from it. Operands that do not exist in an instance are kNone.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace dtcalc {

enum class Contract : std::uint8_t {
  embedding,     ///< x = scale W_e[token] (+ W_p[position]) (dropped out)
  position_add,  ///< y = x + W_p[position]
  add,           ///< y = a + b
  norm,          ///< residual = x + delta; y = norm(residual)
  product,       ///< Y (m x n) = X (m x k) W (n x k)^T
  bias_dropout,  ///< y = drop(x + b); bias or dropout may be absent
  head_norm,
  rope,
  scores,      ///< per head Q K^T
  mask,        ///< scale, soft-cap, ALiBi, causal mask and window
  softmax,     ///< softmax; with `scores` raw: mask first, dropout after
  context,     ///< per head P V
  flash,       ///< scores to context without S x S memory (Alg. 2 with E04)
  activation,  ///< y = phi(x), or phi(x) * up
  multiply,
  softcap,
  cast,
  loss_max,
  loss_sum,
  loss_target,
  loss,            ///< (1.12) whole, with the gradient written over the logits
  product_input,   ///< dX (m x n) = dY (m x k) W (k x n)
  product_weight,  ///< dW (m x n) += dY (k x m)^T X (k x n)
  bias_gradient,
  dropout_backward,
  norm_backward,
  head_norm_backward,
  rope_backward,
  scores_query,  ///< dQ = dS K
  scores_key,    ///< dK = dS^T Q
  mask_backward,
  softmax_backward,       ///< (3.10); with dropout and mask when fused
  context_probabilities,  ///< dP = dO V^T
  context_value,          ///< dV = P^T dO
  flash_backward,         ///< Alg. 3 with E06: five products
  activation_backward,
  multiply_backward,
  softcap_backward,
  cast_backward,
  loss_backward,
  embedding_backward,
  position_backward,
  gradient_norm,  ///< global norm of the gradients
  optimizer,      ///< one step over the parameter inventory
  cache_append,   ///< new keys or values are written behind the cached ones
  select,         ///< one position of every sequence
  select_backward,
  class_token,  ///< y = the learned position, then x
  class_token_backward,
  unpack,          ///< a matrix from 8 or 4 bits
  cast_fp8,        ///< a product's operand in fp8 by the scale of its tensor, its transpose, or both
  all_reduce,      ///< in place, over the ranks of the kernel's axis
  all_gather,      ///< shards to the whole
  reduce_scatter,  ///< partial sums to shards of their sum
  ring,            ///< x visits every rank of the ring (7.4)
  ring_backward,   ///< x again, and its gradient beside it, back to where it belongs
  count
};
inline constexpr int kContracts = static_cast<int>(Contract::count);

enum class Access : std::uint8_t { none, read, write, update };  ///< update: read and written

struct OperandRole {
  std::string_view name;
  Access access = Access::none;
  bool gathered = false;  ///< only the rows that the tokens name are touched
};

struct ContractInfo {
  std::string_view name;
  bool is_product;  ///< time by the law of matrix products, otherwise by the law of loops
  std::array<OperandRole, 10> operands;
};

/// Whether a kernel moves data between ranks; its time is that of communication.
constexpr bool is_collective(Contract contract) {
  return contract >= Contract::all_reduce && contract <= Contract::ring_backward;
}

/// Activations, in the order of the enumeration, plain and gated: their loops are timed apart.
std::string_view activation_law(int activation, bool gated, bool backward);

/// A law of time by number: what `law_name` says, for tables that are read in every evaluation.
using LawId = std::uint8_t;
inline constexpr int kLaws = kContracts + 40;  ///< every contract by its own name, and the variants timed apart
inline constexpr LawId kNoLaw = 255;

/// The number of a law's name; kNoLaw for a name that no kernel asks for.
LawId law_id(std::string_view law);

/// The law of a matrix product (product, product_input, product_weight) whose rows are no multiples of 16 bytes: such
/// products miss the fast algorithms of a GPU's library and are timed apart.
LawId law_of_odd_rows(LawId product);

/// The contract's row in the table.
const ContractInfo& info(Contract contract);

}  // namespace dtcalc
