// The scenario: everything that a prediction or a run depends on, as plain values.
//
// One JSON document describes it; `load.hpp` reads and checks it, the field table in `fields.hpp` names every member.
// Symbols of the notes (App. A) stand in brackets. All sizes are counts of elements; units are in the names.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "costmodel/scenario/types.hpp"
#include "costmodel/units.hpp"

namespace dtcalc {

class MeasuredRates;

struct Rope {
  double base = 10000;
  double local_base = 0;         ///< base in the local layers of a windowed model, unscaled (Gemma 3); 0: as `base`
  std::int64_t rotary_size = 0;  ///< channels of a head that rotate; 0 means all of head_size
  RopePairing pairing = RopePairing::halves;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1;
  double low_frequency_factor = 1;   ///< llama3 scaling
  double high_frequency_factor = 4;  ///< llama3 scaling
  std::int64_t original_positions = 0;
};

/// The second tower of a model that compares images with texts (Sec. 9). Norms, activation and biases are those of the
/// first; it is causal, and its vector is read at the last position of the text (E71).
struct TextTower {
  std::int64_t layers = 0;  ///< 0: there is none
  std::int64_t hidden_size = 512, heads = 8, mlp_size = 0, vocabulary_size = 49408, max_sequence = 77;
};

/// A Transformer: decoder-only, or an encoder of images. After loading, every size is resolved (kv_heads, head_size,
/// mlp_size are never 0).
struct Model {
  std::string name;
  std::int64_t layers = 12;              ///< [L]
  std::int64_t hidden_size = 768;        ///< [D]
  std::int64_t heads = 12;               ///< [A]
  std::int64_t kv_heads = 0;             ///< [G]; 0 means heads (MHA); 1 is MQA
  std::int64_t head_size = 0;            ///< [H]; 0 means hidden_size / heads
  std::int64_t mlp_size = 0;             ///< [F = E D]; 0 means 4 hidden_size
  std::int64_t vocabulary_size = 50257;  ///< [V]
  std::int64_t max_sequence = 1024;      ///< [K]; rows of a learned position table; 0 means unlimited
  std::int64_t position_rows = 0;  ///< rows of the position table if it has more than max_sequence (OPT: +2); 0: same

  Position position = Position::learned;
  Rope rope;
  BlockForm block = BlockForm::serial;
  Norm norm = Norm::layer_norm;
  bool norm_bias = true;          ///< beta of (1.1); RMSNorm never has one
  bool norm_affine = true;        ///< gamma (and beta) on norms that a product follows; false once folded (1.2)
  bool final_norm_affine = true;  ///< the same for the norm before the head
  double norm_epsilon = 1e-5;
  NormPlacement norm_placement = NormPlacement::pre;
  bool parallel_norms = false;  ///< parallel block with a norm each for attention and MLP (Falcon-40B)
  bool final_norm = true;
  bool norm_weight_offset = false;  ///< the stored weight is gamma - 1 (Gemma)

  bool query_bias = true, key_bias = true, value_bias = true;
  bool attention_output_bias = true;
  bool mlp_bias = true;
  bool head_bias = false;
  bool tied_embeddings = true;

  ModelInput input = ModelInput::tokens;
  Head head = Head::language;
  std::int64_t outputs = 0;                     ///< classes, or width of the compared vectors; of the other heads 0
  bool causal = true;                           ///< a position sees itself and those before; else all
  std::int64_t image_size = 0, patch_size = 0;  ///< pixels of a side; the patch divides the image
  std::int64_t image_channels = 3;
  bool patch_bias = true;       ///< on the patch embedding
  bool class_token = false;     ///< a learned position before the patches, whose output is the image's
  bool embedding_norm = false;  ///< a norm between the embedding and the first block (CLIP)
  TextTower text;

  Activation activation = Activation::gelu;
  bool gated_mlp = false;  ///< GLU (2.2): three MLP matrices (E80)

  AttentionScale attention_scale = AttentionScale::inverse_sqrt_head_size;
  double attention_scale_value = 0;  ///< used when attention_scale is `given`
  double attention_softcap = 0;      ///< cap * tanh(score / cap); 0 is off
  double final_softcap = 0;          ///< on the logits; 0 is off
  QkNorm qk_norm = QkNorm::none;
  std::int64_t sliding_window = 0;      ///< keys a position sees in a local layer, itself included; 0 is off
  std::int64_t global_layer_every = 0;  ///< of each n layers the last is global; 0: every layer is local (if windowed)
  double embedding_scale = 1;           ///< factor on the token embedding (Gemma: sqrt(D))
  double residual_dropout = 0;          ///< on the output of attention and MLP
  double attention_dropout = 0;         ///< on the attention probabilities
  double embedding_dropout = 0;
  std::string source, notes;
};

/// Peak rate of matrix products in one dtype.
struct ComputeRate {
  Dtype dtype = Dtype::fp32;
  FlopPerSecond rate;
};

/// Share of a peak rate that large matrix products of a tuned library reach in one dtype.
struct ComputeFraction {
  Dtype dtype = Dtype::fp32;
  double fraction = 1;
};

/// One measured matrix product C (m x n) = A (m x k) B (k x n), or an attention kernel of queries, keys and head size.
struct ProductPoint {
  std::int64_t m, n, k;
  std::string kernel;  ///< contract: product, product_input, product_weight, scores, flash, …
  FlopPerSecond rate;
};

/// One measured loop: time of a pass over `elements` numbers.
struct LoopPoint {
  std::string loop;  ///< kernel name
  std::int64_t elements;
  Seconds time;
};

struct Device {
  std::string id;  ///< `h200`, `a100-80-sxm`, …
  std::string name;
  Origin origin = Origin::datasheet;
  std::string kind = "gpu";  ///< gpu or cpu
  GpuArchitecture architecture = GpuArchitecture::other;
  std::vector<ComputeRate> compute;                 ///< dense peak per dtype; a dtype that is absent is not supported
  std::vector<ComputeFraction> achievable_compute;  ///< of the peak; a dtype that is absent: 1
  BytesPerSecond memory_bandwidth{0};
  double achievable_bandwidth = 1;   ///< share of memory_bandwidth that a large copy reaches
  Seconds memory_latency{0};         ///< one load from device memory
  Seconds kernel_latency{0};         ///< shortest duration of a kernel
  Seconds kernel_gap{0};             ///< between two kernels that are already queued
  Bytes memory{0};                   ///< as the driver reports it
  std::int64_t multiprocessors = 0;  ///< SMs of a GPU, cores of a CPU
  double clock_hz = 0;
  Bytes shared_memory_per_multiprocessor{0};
  Bytes l2_cache{0};
  BytesPerSecond link_bandwidth{0};  ///< to the other devices of a node, one way, per device
  BytesPerSecond nic_bandwidth{0};   ///< to other nodes, one way, per device
  Seconds launch_overhead{0};        ///< host cost of queueing one kernel
  double power_w = 0;
  std::string source, date, machine, notes;
  std::map<std::string, std::string> sources;  ///< source of single figures, by JSON key
  // Calibrated by `dtcalc measure` (empty on a datasheet):
  std::vector<ProductPoint> products;
  std::vector<LoopPoint> loops;
  std::string measured_dtype;                  ///< what both were measured in; empty: they serve every dtype (a CPU's)
  Bytes library_memory{0};                     ///< process memory beside the arena
  std::shared_ptr<const MeasuredRates> rates;  ///< of products and loops, sorted by the loader (index_measurements)

  /// Peak rate, or 0 if the device has no such arithmetic.
  FlopPerSecond rate(Dtype dtype) const;
  /// Share of that rate which large products reach; 1 where it is not known.
  double achievable_fraction(Dtype dtype) const;
};

/// Devices and what connects them (costmodel/communication/collective.hpp, docs/communication.md). The defaults of
/// latencies and efficiencies are those of NVIDIA NCCL 2.30: src/graph/tuning.cc (base latency of a ring; hwLatencies
/// of rings, NVLink and network, protocol Simple) and src/graph/topo.h (20 of 25 GB/s of an NVLink 3, 12 of 12.5 GB/s
/// of a 100 Gb/s port).
struct Cluster {
  std::string id;
  std::int64_t nodes = 1;
  std::int64_t devices_per_node = 1;  ///< that share links or a switch: 8 in a DGX, 72 in an NVL72 rack
  BytesPerSecond link_bandwidth{0};   ///< to the other devices of a node, one way, per device; 0: the device's
  double link_efficiency = 0.8;       ///< achievable share
  Seconds link_latency{3.4e-6};       ///< of one hop, the software's share included
  std::int64_t nics_per_node = 0;     ///< 0: one per device
  BytesPerSecond nic_bandwidth{0};    ///< of one NIC, one way; 0: the device's
  double nic_efficiency = 0.96;
  Seconds nic_latency{14e-6};
  double switch_efficiency = 0;  ///< share of the achievable link rate when the node's switch reduces; 0: it cannot
  Seconds collective_overhead{8.4e-6};  ///< of a collective that moves nothing
  std::string source, date, notes;
  std::map<std::string, std::string> sources;  ///< source of single figures, by JSON key
};

/// Most pipeline stages that are modelled.
inline constexpr std::int64_t kMaxStages = 1024;

/// How the devices of the cluster share a training step (Sec. 7). What tensor, context and pipeline leave over is data
/// parallel: `data_parallel`.
struct Parallel {
  std::int64_t tensor = 1;        ///< [T] devices that share every block's matrices
  bool sequence = false;          ///< residual stream, norms and dropout are sharded over them too (7.3)
  bool save_full_inputs = false;  ///< with `sequence`: keep gathered inputs instead of gathering them again (E32)
  std::int64_t context = 1;       ///< [R] devices of a ring that share every sequence (7.4)
  ContextSharding context_sharding = ContextSharding::zigzag;
  std::int64_t pipeline = 1;          ///< [P] stages (7.5)
  std::int64_t virtual_stages = 1;    ///< [v] chunks of layers per stage
  bool ends_count_as_layers = false;  ///< embedding and head take a layer's place each when layers are dealt to chunks
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  std::int64_t zero =
      0;  ///< ZeRO stage: shards over data ranks of 1 optimizer state, 2 and gradients, 3 and parameters
};

/// Low-rank matrices beside frozen ones (LoRA, Hu et al. 2021): W x + B A x with A (rank, k) and B (n, rank).
/// Everything that the model had is frozen, but for a head of classes, rewards or values.
struct Adapter {
  std::int64_t rank = 0;                               ///< 0: none
  std::vector<std::string> targets{"query", "value"};  ///< matrices of a block that get one
};

struct Training {
  Method method = Method::supervised;
  std::int64_t prompt_tokens = 0;  ///< of a sequence of PPO; the policy writes the rest
  std::int64_t sequence = 0;       ///< [S]; 0 means the model's max_sequence (2048 if it has none)
  std::int64_t micro_batch = 1;    ///< [B] sequences in one forward pass
  std::int64_t global_batch = 0;   ///< sequences in one optimizer step; 0 means micro_batch
  Precision precision = Precision::bf16_mixed;
  Recompute recompute = Recompute::none;
  Optimizer optimizer = Optimizer::adamw;
  CausalFlop causal_flop = CausalFlop::full;
  Parallel parallel;
  std::vector<std::string> frozen;     ///< parameters that are not trained: query, key, value, output, up, gate, down,
                                       ///< norm, embedding, position, head
  Dtype frozen_weights = Dtype::bf16;  ///< of block matrices that are not trained, as stored: fp8 and fp4 stand for any
                                       ///< format of 8 and 4 bits (QLoRA); otherwise as `precision` stores weights
  Adapter adapter;
  // The run itself (dtcalc run train); a prediction of one step does not depend on them.
  std::int64_t steps = 100;
  std::int64_t warmup_steps = 10;
  double learning_rate = 1e-3;
  double final_learning_rate = 1e-4;  ///< the cosine ends here (E30)
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double momentum = 0.9;
  double weight_decay = 0.1;
  double gradient_clip = 1.0;  ///< global norm; 0 is off
  std::uint64_t seed = 1;
};

/// The small model of speculative decoding (11.4), which proposes tokens that the scenario's model checks.
struct Draft {
  std::string model;      ///< preset or absolute path of a file; empty: there is none
  double acceptance = 0;  ///< probability that a proposed token is accepted, independently of the others
};

struct Inference {
  std::int64_t batch = 1;
  std::int64_t prompt_tokens = 512;
  std::int64_t new_tokens = 128;
  Dtype precision = Dtype::bf16;
  Dtype weights = Dtype::bf16;  ///< of the matrices as stored; narrower than `precision` when quantised
  Dtype cache = Dtype::bf16;    ///< of cached keys and values
  std::int64_t tensor = 1;      ///< [T] devices that share a replica
  std::int64_t beams = 1;       ///< hypotheses of a sequence in beam search (11.3); 1: plain decoding
  Draft draft;
};

/// What a software stack fuses, saves and pays per launch: facts with a source (design.md, "Logical operators and
/// kernels").
struct Software {
  std::string id = "dtcalc-cpu";
  std::string source, notes;
  AttentionKernel attention = AttentionKernel::naive;  ///< used when the scenario says `automatic`
  bool fuse_embedding = false;                         ///< token and position look-up and dropout are one kernel
  bool fuse_bias = false;                              ///< a product's bias is added inside its kernel
  bool fuse_residual_norm = false;                     ///< residual addition and norm are one kernel
  bool fuse_softmax = false;                           ///< scale, mask, softmax and dropout are one kernel
  bool fuse_gated_activation = false;                  ///< activation and gate product are one kernel
  bool fuse_norm = true;                               ///< a norm is one kernel; otherwise a chain over an fp32 copy
  bool fuse_rope = true;     ///< so is the rotary embedding; otherwise it runs over fp32 complex numbers
  bool copy_logits = false;  ///< the loss keeps fp32 tensors of its own: of the logits, their log-softmax and its
                             ///< gradient
  bool keep_attention_result = true;  ///< recomputation per operator keeps what attention hands to its backward pass
  bool keep_unread_results = false;   ///< recomputation per operator holds what it keeps even if nothing reads it
  bool fuse_qkv = false;              ///< query, key and value are one product
  bool fuse_gate_up = false;          ///< gate and up are one product
  bool fuse_rope_cache = false;       ///< rotary embedding and cache append of all heads are one kernel
  bool fuse_loss = false;             ///< loss and its gradient in place over the logits
  bool fp8_casts = false;             ///< casts to fp8 are kernels of their own, whose copies are kept where read again
  bool narrow_logits = false;         ///< logits and their gradient have the width of activations; else 4 bytes
  bool fuse_output_dropout = false;   ///< dropout of a projection's output is applied with its bias
  bool fuse_optimizer = true;         ///< one pass over all parameters rather than one kernel per tensor and operation
  bool in_place = false;              ///< an elementwise kernel writes over an input that nothing else needs
  bool store_dropout_masks = true;    ///< one byte per element; otherwise regenerated from the counter-based generator
  bool save_norm_statistics = true;   ///< mean and 1/std per position are kept for the backward pass
  bool recompute_segment =
      true;  ///< recomputation replays the whole segment (torch.utils.checkpoint), not only what is needed
  FlashKernel flash_kernel = FlashKernel::flash_2;
  std::int64_t flash_query_tile = 64, flash_key_tile = 64;
  bool flash_skips_masked_tiles = true;
  bool overlap_gradient_reduction = false;  ///< gradients are reduced over data ranks during the backward pass
  bool overlap_parameter_gather = false;    ///< ZeRO's parameters are gathered while other layers compute
  bool direct_all_reduce = false;  ///< small all-reduces inside a node read the other ranks' memory in one kernel
  Allocator allocator = Allocator::none;
  std::int64_t alignment_bytes = 1;  ///< every buffer starts at a multiple of it
  Seconds launch_overhead{0};        ///< host cost of a kernel that this stack adds to the device's own
  bool cuda_graphs = false;          ///< a step is replayed as a graph: the host costs nothing per kernel
  // Fitted to whole steps of published rows, with `launch_overhead` at most three per profile (docs/accuracy.md).
  double compute_time_factor = 1;        ///< matrix products and fused attention, against the device's achievable rate
  double memory_time_factor = 1;         ///< bytes of device memory, against the achievable bandwidth
  double communication_time_factor = 1;  ///< collectives, against the cluster's achievable rates
  std::string stack;                     ///< profiles of one stack (eager, compiled) share constants; empty: the id
  std::string fitted_on;                 ///< the published families, separated by spaces; empty: nothing is fitted
};

struct Scenario {
  Model model;
  Device hardware;
  Cluster cluster;
  Software software;
  Training training;
  Inference inference;
  std::optional<Model> draft;  ///< what inference.draft.model names, loaded
  bool has_training = false;   ///< a scenario with neither section means training (micro-batch 1, longest sequence)
  bool has_inference = false;
  AttentionKernel attention = AttentionKernel::automatic;
};

/// Devices of the cluster.
inline std::int64_t devices(const Cluster& cluster) { return cluster.nodes * cluster.devices_per_node; }
/// Replicas of the model [N_d]: the devices that tensor, context and pipeline parallelism leave over.
inline std::int64_t data_parallel(const Scenario& scenario) {
  const Parallel& p = scenario.training.parallel;
  return devices(scenario.cluster) / (p.tensor * p.context * p.pipeline);
}
/// Micro-batches that one replica runs in a step [m].
inline std::int64_t micro_batches(const Scenario& scenario) {
  return scenario.training.global_batch / (scenario.training.micro_batch * data_parallel(scenario));
}

/// Patches of an image.
inline std::int64_t patches(const Model& model) {
  if (model.input != ModelInput::image || model.patch_size == 0) return 0;
  const std::int64_t side = model.image_size / model.patch_size;
  return side * side;
}

/// Whether the head reads one position of a sequence.
inline bool reads_one_position(const Model& model) {
  return model.head == Head::classes || model.head == Head::contrast || model.head == Head::reward;
}

/// Rows of the position table (OPT's has two more than positions).
inline std::int64_t position_rows(const Model& model) {
  return model.position_rows > 0 ? model.position_rows : model.max_sequence;
}

}  // namespace dtcalc
