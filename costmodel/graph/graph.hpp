// The logical operator graph of a decoder-only Transformer: what is computed, before any layout or software stack.
//
// A graph has three kinds of segment: a prologue (embedding), block kinds (each repeated), an epilogue (final norm,
// head, loss). Segments hand over (residual, delta): a block begins by adding them, so that a residual addition and the
// norm behind it can become one kernel across a block's border. A delta that does not exist is `kNone`.
//
// Operators own FLOPs, parameters and their gradient rule, nothing else; bytes and time belong to kernels (lower/).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "costmodel/graph/name.hpp"
#include "costmodel/graph/symbol.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

using TensorId = std::int16_t;
inline constexpr TensorId kNone = -1;

/// What decides the bytes of one element; the precision of the scenario gives each class its width.
enum class Width : std::uint8_t {
  activation,   ///< operands of matrix products
  stream,       ///< residual stream and norm outputs (fp32 under autocast, E83)
  probability,  ///< softmax outputs (fp32 under autocast)
  weight,       ///< parameters as the forward pass reads them
  gradient,     ///< accumulated parameter gradients
  logits,
  statistic,  ///< norm statistics, log-sum-exp, losses: 4 bytes (8 in fp64)
  mask,       ///< dropout masks: 1 byte
  index,      ///< token ids: 4 bytes
  cache,      ///< keys and values of earlier positions
  packed,     ///< frozen matrices in 8 or 4 bits
  fp8,        ///< copies of operands that fp8 products read: 1 byte
  count
};
inline constexpr int kWidths = static_cast<int>(Width::count);

enum class Role : std::uint8_t { parameter, activation, gradient, parameter_gradient };

/// Freezable parameter classes; a bit set of them is part of the structure's key.
enum class ParameterClass : std::uint8_t {
  embedding,
  position,
  norm,
  query,
  key,
  value,
  output,
  gate,
  up,
  down,
  head,
  adapter,
  count
};

/// Matrices of a block whose products may run in fp8 (query, key, value, output, gate, up, down). A block has three
/// times as many scales: of the weights, from kFp8Matrices on of what the products read, and then of their outputs'
/// gradients.
inline constexpr int kFp8Matrices = 7;
inline constexpr int kFp8Scales = 3 * kFp8Matrices;

struct Tensor {
  Name name;  ///< of the operator that makes it or owns it
  Role role = Role::activation;
  Width width = Width::activation;
  Extent elements;
  Extent columns;                  ///< parameters that are matrices: the last dimension; length 0 for vectors
  const char* suffix = "";         ///< "weight", "bias", "mask", "statistics": distinguishes an operator's tensors
  TensorId gradient_of = kNone;    ///< for gradients: the forward tensor
  bool trained = false;            ///< parameters: not frozen
  bool kept_inside = false;        ///< never materialised: its kernel computes it again (flash attention's scores)
  bool checkpoint = false;         ///< survives `Recompute::full`
  bool core = false;               ///< of the attention core, dropped by `Recompute::selective`
  bool kept_per_operator = false;  ///< survives `Recompute::per_operator`: every second product's result, attention's
  bool tied = false;               ///< a parameter that another segment owns (the head reads the embedding table)
  bool input = false;              ///< token ids and targets, given from outside
  bool regathered = false;         ///< gathered from shards again in the backward pass instead of being kept (E32)
  std::int8_t scale = -1;          ///< of fp8 copies: which of the block's scales, see kFp8Matrices
  TensorId alias_of = kNone;       ///< the tensor whose storage this one is: what a collective reduces in place
};

enum class OperatorKind : std::uint8_t {
  token_embedding,
  position_embedding,
  dropout,
  add,
  norm,
  product,
  bias,
  head_norm,
  rope,
  scores,
  mask,
  softmax,
  context,
  activation,
  multiply,
  softcap,
  cast,
  loss_max,
  loss_sum,
  loss_target,
  // Where placements of producer and consumer disagree (7.2-7.4). `Choices::sequence` decides which collective it is.
  enter,        ///< into the tensor-parallel region: all-gather of sequence shards, or nothing; the gradient is reduced
  leave,        ///< out of it: reduce-scatter to sequence shards, or all-reduce; the gradient is gathered, or nothing
  reduce,       ///< all-reduce of the loss's statistics over vocabulary shards (E33)
  ring,         ///< keys or values travel around the context ring (7.4)
  cache,        ///< new keys or values join those of earlier positions (12.1)
  select,       ///< one position of every sequence
  class_token,  ///< a learned position before the patches
  unpack,       ///< a frozen matrix from 8 or 4 bits; done again where the backward pass needs it
  exchange,     ///< the vectors of all data ranks; their gradients are reduced to where they belong
  quantize,     ///< a product's operand in fp8, its transpose, or both; m rows and n columns are those of the operand
  count
};

/// The dimensions of a layout: which ranks a collective joins.
enum class Axis : std::uint8_t { tensor, context, pipeline, data };
inline constexpr int kAxes = 4;

/// Which derivative an operator is: the forward operation itself, the gradient for activations or for parameters.
enum class Pass : std::uint8_t { forward, input_gradient, weight_gradient };

/// One logical operator. The meaning of inputs and outputs by kind and pass is in differentiate.cpp and rules.cpp.
struct Operator {
  OperatorKind kind;
  Pass pass = Pass::forward;
  Name name;
  bool accumulate = false;  ///< the first output is added to what is there
  bool replay = false;      ///< a forward operator computed again in the backward pass
  bool core = false;        ///< between scores and context
  std::uint8_t site = 0;    ///< dropout site: 0 embedding, 1 attention, 2 attention output, 3 MLP output
  std::array<TensorId, 8> inputs{kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  std::array<TensorId, 4> outputs{kNone, kNone, kNone, kNone};
  Extent flop{};  ///< model FLOPs; factor 0 for all but matrix products
  // Products: C (m x n) += A (m x k) B (k x n), `batch` times.
  Extent m, n, k, batch;
};

/// Tensors and operators of one segment, forward and backward.
struct Segment {
  std::vector<Tensor> tensors;
  std::vector<Operator> forward;
  std::vector<Operator> backward;  ///< in execution order
  TensorId residual_in = kNone, delta_in = kNone;
  TensorId residual_out = kNone, delta_out = kNone;
  TensorId gradient_in = kNone;   ///< gradient of residual_out and delta_out, from the next segment
  TensorId gradient_out = kNone;  ///< gradient of residual_in and delta_in, for the segment before; kNone: not needed
  bool local = false;             ///< attention under the sliding window
  bool first = false;             ///< the first layer: no delta comes in
};

/// The discrete choices that decide the graph and its lowering: the key under which a structure is cached. Every size,
/// rate and probability is left out (evaluate/sizes.hpp has them).
struct Choices {
  Position position;
  BlockForm block;
  Norm norm;
  NormPlacement norm_placement;
  Activation activation;
  QkNorm qk_norm;
  ModelInput input;
  Head head;
  AttentionKernel attention;  ///< naive or flash
  Recompute recompute;
  Optimizer optimizer;
  bool norm_affine, final_norm_affine, norm_bias, parallel_norms, final_norm;
  bool query_bias, key_bias, value_bias, output_bias, mlp_bias, head_bias;
  bool tied, gated, attention_softcap, final_softcap;
  bool patch_bias, class_token, embedding_norm;
  bool residual_dropout, attention_dropout, embedding_dropout;
  bool training, clip, autocast;
  bool serving;  ///< prefill or decode: a cache is filled, the head sees the last position, there is no loss
  bool decode;   ///< attention over what the cache holds
  bool tensor, sequence, save_full_inputs, context;  ///< layout: which collectives there are
  std::uint16_t frozen;                              ///< bit per ParameterClass
  std::uint16_t adapted;                             ///< bit per ParameterClass: matrices with a low-rank adapter
  bool packed;                                       ///< frozen matrices of blocks are stored in 8 or 4 bits
  bool cut;  ///< chunks of layers begin inside the model although nothing before the blocks is trained: the block kind
             ///< that begins a chunk hands gradients on
  bool one_layer, windowed, mixed_windows;  ///< which block kinds exist
  bool first_is_local;
  // Facts of the software stack.
  bool fuse_embedding, fuse_bias, fuse_residual_norm, fuse_softmax, fuse_gated_activation, fuse_loss,
      fuse_output_dropout, fuse_optimizer, in_place, store_dropout_masks, save_norm_statistics, recompute_segment,
      fuse_qkv, fuse_gate_up, fuse_rope_cache, fuse_norm, fuse_rope, copy_logits, keep_unread_results,
      keep_attention_result, quantize;

  friend bool operator==(const Choices&, const Choices&) = default;
};

/// What is computed: a training step, its forward pass and loss alone, or the two phases of serving (Sec. 12).
enum class Work : std::uint8_t { training, evaluation, prefill, decode };
constexpr bool is_serving(Work work) { return work == Work::prefill || work == Work::decode; }

/// Reads the discrete choices off a checked scenario.
Choices choices_of(const Scenario& scenario, Work work);
/// The class of a parameter group as scenarios call it (`query`, `norm`); `count` for other words.
ParameterClass parameter_class(std::string_view group);
inline Choices choices_of(const Scenario& scenario, bool training) {
  return choices_of(scenario, training ? Work::training : Work::evaluation);
}

/// The tensor whose storage `t` has: itself unless it is an alias.
inline TensorId storage_of(const Segment& segment, TensorId t) {
  while (t != kNone && segment.tensors[t].alias_of != kNone) t = segment.tensors[t].alias_of;
  return t;
}

struct Graph {
  Segment prologue;
  std::vector<Segment> blocks;  ///< the block kinds, in the order of `kind_of_layer`
  Segment epilogue;
};

/// The forward operators of every segment and, when `choices.training`, their backward operators.
Graph build_graph(const Choices& choices);

/// Appends to `segment.backward` the operators that carry `segment.gradient_in` to `segment.gradient_out` and to the
/// parameters' gradients. Reverse mode: a tensor's gradient exists only where a trained parameter lies upstream
/// (`input_trained`: there is one before this segment).
void differentiate(Segment& segment, bool input_trained);

/// Puts the casts to fp8 before the products with a block's weights and lets those read the copies.
void quantize(Segment& block);

/// Index into Graph::blocks of a layer. Kinds: the first layer, then the remaining layers; each local or global.
int kind_of_layer(const Model& model, std::int64_t layer);
int block_kinds(const Model& model);
/// Whether a layer attends under the sliding window.
bool is_local(const Model& model, std::int64_t layer);

}  // namespace dtcalc
