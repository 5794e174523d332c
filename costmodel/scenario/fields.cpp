#include "costmodel/scenario/fields.hpp"

#include <algorithm>

#include "costmodel/scenario/field_access.hpp"

namespace dtcalc {
namespace {

using field_access::row;
using nlohmann::json;

// Largest values. They keep products of sizes meaningful; check.cpp bounds the products themselves.
constexpr double max_layers = 1e5;
constexpr double max_width = 16777216;          // 2^24 channels; PaLM has 18432
constexpr double max_count = 2147483647;        // 2^31 - 1: vocabulary, tokens, sequences
constexpr double max_bytes = 1125899906842624;  // 1 PiB
constexpr double max_rate = 1e21;               // FLOP/s or bytes/s of one device
constexpr double max_seed = 9007199254740992;   // 2^53: every JSON reader keeps it
constexpr double max_stages = kMaxStages;
constexpr double max_seconds = 1;  // of one launch

constexpr Range positive(double maximum) { return {1, maximum, false, false}; }
constexpr Range count(double maximum) { return {0, maximum, false, false}; }
constexpr Range above_zero(double maximum) { return {0, maximum, true, false}; }
constexpr Range fraction{0, 1, false, true};
constexpr Range share{0, 1, true, false};

constexpr std::array<std::string_view, 2> device_kinds{"gpu", "cpu"};
constexpr std::array<std::string_view, 11> parameter_groups{"query", "key",  "value",     "output",   "up",  "gate",
                                                            "down",  "norm", "embedding", "position", "head"};

/// A row of a section: `in<&Scenario::model, &Model::layers>(pointer, range, help)`.
template <auto... Path>
Field in(std::string_view pointer, Range range, std::string_view help, std::string_view derived_default = {},
         std::string_view unit = {}) {
  FieldInfo info;
  info.pointer = pointer;
  info.range = range;
  info.help = help;
  info.derived_default = derived_default;
  info.unit = unit;
  return row<Scenario, Path...>(info);
}
template <auto... Path>
Field in(std::string_view pointer, std::string_view help, std::string_view derived_default = {}) {
  return in<Path...>(pointer, Range{}, help, derived_default);
}
template <auto... Path>
Field word(std::string_view pointer, std::span<const std::string_view> choices, std::string_view help) {
  FieldInfo info;
  info.pointer = pointer;
  info.choices = choices;
  info.help = help;
  return row<Scenario, Path...>(info);
}

/// The peak rate of one dtype, a key of its own so that each figure has its unit and its place.
template <Dtype dtype>
Field rate(std::string_view pointer) {
  FieldInfo info;
  info.pointer = pointer;
  info.type = FieldType::number;
  info.unit = "FLOP/s";
  info.range = above_zero(max_rate);
  info.derived_default = "not supported";
  info.help = "Dense peak rate of matrix products in this dtype; without it the device has no such arithmetic.";
  return {info,
          [](const json& value, const FieldInfo& about, const std::string& place, Scenario& scenario,
             std::vector<Error>& errors) {
            double flop_per_s = 0;
            if (!field_access::read_number(value, about, place, flop_per_s, errors)) return false;
            auto& rates = scenario.hardware.compute;
            std::erase_if(rates, [](const ComputeRate& known) { return known.dtype == dtype; });
            rates.push_back({dtype, FlopPerSecond(flop_per_s)});
            std::sort(rates.begin(), rates.end(),
                      [](const ComputeRate& a, const ComputeRate& b) { return a.dtype < b.dtype; });
            return true;
          },
          [](const Scenario& scenario) {
            const double flop_per_s = scenario.hardware.rate(dtype).value();
            return flop_per_s > 0 ? json(flop_per_s) : json(nullptr);
          }};
}

/// The row of the fraction of that rate which is achievable.
template <Dtype dtype>
Field achievable(std::string_view pointer) {
  FieldInfo info;
  info.pointer = pointer;
  info.type = FieldType::number;
  info.range = above_zero(1);
  info.derived_default = "1";
  info.help = "Share of the peak rate that large matrix products of a tuned library reach.";
  return {info,
          [](const json& value, const FieldInfo& about, const std::string& place, Scenario& scenario,
             std::vector<Error>& errors) {
            double of_peak = 1;
            if (!field_access::read_number(value, about, place, of_peak, errors)) return false;
            auto& known = scenario.hardware.achievable_compute;
            std::erase_if(known, [](const ComputeFraction& c) { return c.dtype == dtype; });
            known.push_back({dtype, of_peak});
            std::sort(known.begin(), known.end(),
                      [](const ComputeFraction& a, const ComputeFraction& b) { return a.dtype < b.dtype; });
            return true;
          },
          [](const Scenario& scenario) {
            for (const ComputeFraction& c : scenario.hardware.achievable_compute)
              if (c.dtype == dtype) return json(c.fraction);
            return json(nullptr);
          }};
}

std::vector<Field> model_fields() {
  using S = Scenario;
  using M = Model;
  return {
      in<&S::model, &M::name>("/model/name", "What the model is called in reports."),
      in<&S::model, &M::layers>("/model/layers", positive(max_layers),
                                "Transformer blocks [L]; their memory and time grow in proportion."),
      in<&S::model, &M::hidden_size>("/model/hidden_size", positive(max_width),
                                     "Width of the residual stream [D]; parameters of a block grow with its square."),
      in<&S::model, &M::heads>("/model/heads", positive(max_width), "Query heads of attention [A]."),
      in<&S::model, &M::kv_heads>(
          "/model/kv_heads", count(max_width),
          "Key and value heads [G]: as many as heads is MHA, fewer is GQA, 1 is MQA; the KV cache grows in proportion.",
          "heads"),
      in<&S::model, &M::head_size>("/model/head_size", count(max_width), "Channels of one head [H].",
                                   "hidden_size / heads"),
      in<&S::model, &M::mlp_size>("/model/mlp_size", count(max_width), "Width inside the MLP [F = E D].",
                                  "4 hidden_size"),
      in<&S::model, &M::vocabulary_size>("/model/vocabulary_size", positive(max_count),
                                         "Rows of the token embedding [V]; logits and loss grow in proportion."),
      in<&S::model, &M::max_sequence>("/model/max_sequence", count(max_count),
                                      "Longest sequence [K]: the rows of a learned position table, else the length the "
                                      "model was made for; 0 is unlimited."),
      in<&S::model, &M::position_rows>(
          "/model/position_rows", count(max_count),
          "Rows of a learned position table that has more than max_sequence (OPT has two more).", "max_sequence"),
      in<&S::model, &M::position>("/model/position",
                                  "How positions enter: a learned table, rotation of queries and keys, "
                                  "a linear bias on the scores, or not at all."),
      in<&S::model, &M::rope, &Rope::base>("/model/rope/base", above_zero(1e15),
                                           "Base of the rotation frequencies; larger turns slower."),
      in<&S::model, &M::rope, &Rope::local_base>(
          "/model/rope/local_base", count(1e15),
          "Base in the local layers of a windowed model, without scaling (Gemma 3).", "base"),
      in<&S::model, &M::rope, &Rope::rotary_size>("/model/rope/rotary_size", count(max_width),
                                                  "Channels of a head that rotate, an even number.", "head_size"),
      in<&S::model, &M::rope, &Rope::pairing>(
          "/model/rope/pairing", "Which channels turn together: neighbours (2i, 2i+1) or halves (i, i + rotary/2)."),
      in<&S::model, &M::rope, &Rope::scaling>(
          "/model/rope/scaling", "Rule that stretches the frequencies beyond the trained length; costs nothing."),
      in<&S::model, &M::rope, &Rope::factor>("/model/rope/factor", Range{1, 1e6, false, false},
                                             "By how much the scaling stretches the sequence."),
      in<&S::model, &M::rope, &Rope::low_frequency_factor>("/model/rope/low_frequency_factor", above_zero(1e6),
                                                           "llama3 scaling: below it a frequency is fully stretched."),
      in<&S::model, &M::rope, &Rope::high_frequency_factor>("/model/rope/high_frequency_factor", above_zero(1e6),
                                                            "llama3 scaling: above it a frequency is left alone."),
      in<&S::model, &M::rope, &Rope::original_positions>(
          "/model/rope/original_positions", count(max_count),
          "Sequence length before stretching; llama3, yarn and longrope scaling need it."),
      in<&S::model, &M::block>("/model/block",
                               "serial: the MLP reads what attention wrote; parallel: both read the same stream."),
      in<&S::model, &M::norm>("/model/norm", "LayerNorm, or RMSNorm without mean and bias."),
      in<&S::model, &M::norm_bias>("/model/norm_bias", "Whether LayerNorm has a bias (beta); RMSNorm never has one.",
                                   "true for layer_norm"),
      in<&S::model, &M::norm_epsilon>("/model/norm_epsilon", above_zero(1), "Added to the variance under the root."),
      in<&S::model, &M::norm_placement>(
          "/model/norm_placement", "Norm before attention and MLP, after the residual addition, or on both sides."),
      in<&S::model, &M::norm_affine>("/model/norm_affine",
                                     "Weight (and bias) on the norms that a product follows; false once folded (1.2)."),
      in<&S::model, &M::final_norm_affine>("/model/final_norm_affine", "The same for the norm before the head."),
      in<&S::model, &M::parallel_norms>("/model/parallel_norms",
                                        "Parallel block with one norm for attention and one for the MLP (Falcon-40B)."),
      in<&S::model, &M::final_norm>("/model/final_norm", "A norm between the last block and the head."),
      in<&S::model, &M::norm_weight_offset>("/model/norm_weight_offset",
                                            "The stored norm weight is gamma - 1 (Gemma); costs nothing."),
      in<&S::model, &M::query_bias>("/model/query_bias", "Bias on the query projection."),
      in<&S::model, &M::key_bias>("/model/key_bias", "Bias on the key projection."),
      in<&S::model, &M::value_bias>("/model/value_bias", "Bias on the value projection."),
      in<&S::model, &M::attention_output_bias>("/model/attention_output_bias", "Bias on the output projection."),
      in<&S::model, &M::mlp_bias>("/model/mlp_bias", "Biases on the matrices of the MLP."),
      in<&S::model, &M::head_bias>("/model/head_bias", "Bias on the logits."),
      in<&S::model, &M::tied_embeddings>("/model/tied_embeddings",
                                         "The head uses the token embedding's matrix; otherwise V D more parameters."),
      in<&S::model, &M::activation>("/model/activation",
                                    "Nonlinearity of the MLP; gelu is exact, gelu_tanh its tanh approximation."),
      in<&S::model, &M::gated_mlp>(
          "/model/gated_mlp", "Gated linear unit: three matrices instead of two (SwiGLU with silu, GEGLU, ReGLU)."),
      in<&S::model, &M::attention_scale>("/model/attention_scale", "Factor on the scores before the softmax."),
      in<&S::model, &M::attention_scale_value>("/model/attention_scale_value", count(1e6),
                                               "The factor when attention_scale is given."),
      in<&S::model, &M::attention_softcap>("/model/attention_softcap", count(1e6),
                                           "Scores become cap tanh(score / cap); 0 is off."),
      in<&S::model, &M::final_softcap>("/model/final_softcap", count(1e6),
                                       "Logits become cap tanh(logit / cap); 0 is off."),
      in<&S::model, &M::qk_norm>(
          "/model/qk_norm", "Norm on queries and keys: per_head shares one weight among heads, full has one each."),
      in<&S::model, &M::sliding_window>("/model/sliding_window", count(max_count),
                                        "Keys that a position sees in a local layer, itself included; 0 is off."),
      in<&S::model, &M::global_layer_every>(
          "/model/global_layer_every", count(max_layers),
          "Of each so many layers the last sees all keys; 0 leaves every layer local when there is a window."),
      in<&S::model, &M::embedding_scale>("/model/embedding_scale", above_zero(1e6),
                                         "Factor on the token embedding (Gemma: sqrt(hidden_size))."),
      in<&S::model, &M::residual_dropout>("/model/residual_dropout", fraction,
                                          "Dropout on the outputs of attention and MLP; above 0 it costs masks."),
      in<&S::model, &M::attention_dropout>("/model/attention_dropout", fraction,
                                           "Dropout on the attention probabilities; above 0 it costs masks."),
      in<&S::model, &M::embedding_dropout>("/model/embedding_dropout", fraction,
                                           "Dropout on the embeddings; above 0 it costs a mask."),
      in<&S::model, &M::source>("/model/source", "Where the figures come from."),
      in<&S::model, &M::notes>("/model/notes", "What is not sure, or not in the figures."),
  };
}

std::vector<Field> hardware_fields() {
  using S = Scenario;
  using D = Device;
  return {
      in<&S::hardware, &D::id>("/hardware/id", "Name of the profile."),
      in<&S::hardware, &D::name>("/hardware/name", "The device as its vendor calls it."),
      in<&S::hardware, &D::origin>("/hardware/origin", "Where the figures come from; printed beside every time."),
      word<&S::hardware, &D::kind>("/hardware/kind", device_kinds, "A GPU, or all cores of a CPU."),
      in<&S::hardware, &D::architecture>("/hardware/architecture",
                                         "Generation of the GPU: which tiles its matrix products come in; other has "
                                         "the plain roofline."),
      rate<Dtype::fp64>("/hardware/compute_flop_per_s/fp64"),
      rate<Dtype::fp32>("/hardware/compute_flop_per_s/fp32"),
      rate<Dtype::tf32>("/hardware/compute_flop_per_s/tf32"),
      rate<Dtype::fp16>("/hardware/compute_flop_per_s/fp16"),
      rate<Dtype::bf16>("/hardware/compute_flop_per_s/bf16"),
      rate<Dtype::fp8>("/hardware/compute_flop_per_s/fp8"),
      rate<Dtype::fp4>("/hardware/compute_flop_per_s/fp4"),
      achievable<Dtype::fp64>("/hardware/achievable_compute_fraction/fp64"),
      achievable<Dtype::fp32>("/hardware/achievable_compute_fraction/fp32"),
      achievable<Dtype::tf32>("/hardware/achievable_compute_fraction/tf32"),
      achievable<Dtype::fp16>("/hardware/achievable_compute_fraction/fp16"),
      achievable<Dtype::bf16>("/hardware/achievable_compute_fraction/bf16"),
      achievable<Dtype::fp8>("/hardware/achievable_compute_fraction/fp8"),
      achievable<Dtype::fp4>("/hardware/achievable_compute_fraction/fp4"),
      in<&S::hardware, &D::memory_bandwidth>("/hardware/memory_bandwidth_bytes_per_s", count(max_rate),
                                             "Peak rate of device memory; bounds everything but large products."),
      in<&S::hardware, &D::achievable_bandwidth>("/hardware/achievable_bandwidth_fraction", above_zero(1),
                                                 "Share of the memory bandwidth that a large copy reaches."),
      in<&S::hardware, &D::memory_latency>(
          "/hardware/memory_latency_s", count(max_seconds),
          "One load from device memory; a wave of tiles waits for it when it begins and when it ends."),
      in<&S::hardware, &D::kernel_latency>("/hardware/kernel_latency_s", count(max_seconds),
                                           "Shortest duration of a kernel; bounds kernels over few bytes."),
      in<&S::hardware, &D::kernel_gap>("/hardware/kernel_gap_s", count(max_seconds),
                                       "Idle time between two kernels that are already queued."),
      in<&S::hardware, &D::memory>("/hardware/memory_bytes", count(max_bytes),
                                   "Device memory as the driver reports it; what does not fit is refused."),
      in<&S::hardware, &D::multiprocessors>("/hardware/multiprocessors", count(1e6), "SMs of a GPU, cores of a CPU."),
      in<&S::hardware, &D::clock_hz>("/hardware/clock_hz", count(1e12), "Highest sustained clock.", "", "Hz"),
      in<&S::hardware, &D::shared_memory_per_multiprocessor>(
          "/hardware/shared_memory_per_multiprocessor_bytes", count(max_bytes),
          "Shared memory of one SM; bounds the tiles of fused attention."),
      in<&S::hardware, &D::l2_cache>("/hardware/l2_cache_bytes", count(max_bytes), "Last cache before device memory."),
      in<&S::hardware, &D::link_bandwidth>("/hardware/link_bytes_per_s", count(max_rate),
                                           "To the other devices of a node, one way, per device."),
      in<&S::hardware, &D::nic_bandwidth>("/hardware/nic_bytes_per_s", count(max_rate),
                                          "To other nodes, one way, per device."),
      in<&S::hardware, &D::launch_overhead>("/hardware/launch_overhead_s", count(max_seconds),
                                            "Host cost of queueing one kernel; bounds small models."),
      in<&S::hardware, &D::power_w>("/hardware/power_w", count(1e6), "Power limit of the device.", "", "W"),
      in<&S::hardware, &D::source>("/hardware/source", "Where the figures come from."),
      in<&S::hardware, &D::date>("/hardware/date", "When the source was read or the device measured."),
      in<&S::hardware, &D::machine>("/hardware/machine", "The machine a measured profile belongs to."),
      in<&S::hardware, &D::notes>("/hardware/notes", "What is not sure about the figures."),
      in<&S::hardware, &D::sources>("/hardware/sources", "Source of each figure, by its key in this section."),
      in<&S::hardware, &D::products>("/hardware/products", "Measured matrix products C (m x n) = A (m x k) B (k x n)."),
      in<&S::hardware, &D::loops>("/hardware/loops", "Measured loops over elements."),
      in<&S::hardware, &D::library_memory>("/hardware/library_memory_bytes", count(max_bytes),
                                           "Process memory beside the arena; a line of its own in a run's memory."),
  };
}

std::vector<Field> software_fields() {
  using S = Scenario;
  using W = Software;
  return {
      in<&S::software, &W::id>("/software/id", "Name of the profile."),
      in<&S::software, &W::source>("/software/source", "Where the facts come from."),
      in<&S::software, &W::notes>("/software/notes", "What the profile stands for."),
      in<&S::software, &W::attention>("/software/attention",
                                      "Kernel used when the scenario's attention is automatic; flash stores no S x S."),
      in<&S::software, &W::fuse_embedding>("/software/fuse_embedding",
                                           "Token and position look-up and their dropout are one kernel."),
      in<&S::software, &W::fuse_bias>("/software/fuse_bias", "A product's bias is added inside its kernel."),
      in<&S::software, &W::fuse_residual_norm>("/software/fuse_residual_norm",
                                               "Residual addition and norm are one kernel."),
      in<&S::software, &W::fuse_softmax>("/software/fuse_softmax",
                                         "Scale, mask, softmax and dropout of naive attention are one kernel."),
      in<&S::software, &W::fuse_gated_activation>("/software/fuse_gated_activation",
                                                  "Activation and gate product are one kernel."),
      in<&S::software, &W::fuse_loss>("/software/fuse_loss",
                                      "Loss and its gradient are computed in place over the logits."),
      in<&S::software, &W::fuse_output_dropout>("/software/fuse_output_dropout",
                                                "Dropout of a projection's output is applied with its bias."),
      in<&S::software, &W::fuse_optimizer>("/software/fuse_optimizer",
                                           "The optimizer is one pass over all parameters, not kernels per tensor."),
      in<&S::software, &W::in_place>("/software/in_place",
                                     "An elementwise kernel writes over an input that nothing else needs."),
      in<&S::software, &W::store_dropout_masks>("/software/store_dropout_masks",
                                                "Masks take a byte per element; otherwise they are generated again."),
      in<&S::software, &W::save_norm_statistics>("/software/save_norm_statistics",
                                                 "Mean and 1/std of each position are kept for the backward pass."),
      in<&S::software, &W::recompute_segment>(
          "/software/recompute_segment",
          "Recomputation replays the whole segment, not only what the backward pass needs."),
      in<&S::software, &W::flash_kernel>("/software/flash_kernel",
                                         "Generation of its fused attention: the share of the peak that it reaches."),
      in<&S::software, &W::flash_query_tile>("/software/flash_query_tile", positive(65536),
                                             "Queries of a flash attention tile.", "", "tokens"),
      in<&S::software, &W::flash_key_tile>("/software/flash_key_tile", positive(65536),
                                           "Keys of a flash attention tile.", "", "tokens"),
      in<&S::software, &W::flash_skips_masked_tiles>("/software/flash_skips_masked_tiles",
                                                     "Flash attention skips tiles that the mask empties."),
      in<&S::software, &W::overlap_gradient_reduction>(
          "/software/overlap_gradient_reduction",
          "Whether gradients are reduced over data-parallel devices while the backward pass still runs."),
      in<&S::software, &W::overlap_parameter_gather>(
          "/software/overlap_parameter_gather",
          "Whether ZeRO's sharded parameters are gathered while other layers compute."),
      in<&S::software, &W::alignment_bytes>("/software/alignment_bytes", positive(1 << 21),
                                            "Every buffer starts at a multiple of it; rounds memory up.", "", "bytes"),
      in<&S::software, &W::launch_overhead>("/software/launch_overhead_s", count(max_seconds),
                                            "Host cost per kernel that this stack adds to the device's own."),
      in<&S::software, &W::cuda_graphs>("/software/cuda_graphs",
                                        "The step is replayed as a graph: the host costs nothing per kernel."),
  };
}

std::vector<Field> cluster_fields() {
  using S = Scenario;
  using C = Cluster;
  return {
      in<&S::cluster, &C::id>("/cluster/id", "Name of the profile."),
      in<&S::cluster, &C::nodes>("/cluster/nodes", positive(1e6), "Machines of the cluster."),
      in<&S::cluster, &C::devices_per_node>("/cluster/devices_per_node", positive(1e4),
                                            "Devices that share links or a switch: 8 of a DGX, 72 of an NVL72 rack."),
      in<&S::cluster, &C::link_bandwidth>("/cluster/link_bytes_per_s", count(max_rate),
                                          "To the other devices of a node, one way, per device.",
                                          "the device's link_bytes_per_s"),
      in<&S::cluster, &C::link_efficiency>("/cluster/link_efficiency", share,
                                           "Share of the links' rate that collectives reach with large messages."),
      in<&S::cluster, &C::link_latency>("/cluster/link_latency_s", count(max_seconds),
                                        "Time of a hop inside a node, the software's share included."),
      in<&S::cluster, &C::nics_per_node>("/cluster/nics_per_node", count(1e4),
                                         "Network ports of a node, shared evenly by its devices.", "devices_per_node"),
      in<&S::cluster, &C::nic_bandwidth>("/cluster/nic_bytes_per_s", count(max_rate),
                                         "Rate of one network port, one way.", "the device's nic_bytes_per_s"),
      in<&S::cluster, &C::nic_efficiency>("/cluster/nic_efficiency", share,
                                          "Share of the ports' rate that collectives reach with large messages."),
      in<&S::cluster, &C::nic_latency>("/cluster/nic_latency_s", count(max_seconds),
                                       "Time of a hop between nodes, the software's share included."),
      in<&S::cluster, &C::switch_efficiency>(
          "/cluster/switch_efficiency", Range{0, 1, false, false},
          "Share of the reachable link rate when the node's switch reduces (NVLink SHARP); 0: it cannot."),
      in<&S::cluster, &C::collective_overhead>("/cluster/collective_overhead_s", count(max_seconds),
                                               "Time of a collective that moves nothing."),
      in<&S::cluster, &C::source>("/cluster/source", "Where the figures come from."),
      in<&S::cluster, &C::date>("/cluster/date", "When the source was read."),
      in<&S::cluster, &C::notes>("/cluster/notes", "What is not sure about the figures."),
      in<&S::cluster, &C::sources>("/cluster/sources", "Source of each figure, by its key in this section."),
  };
}

std::vector<Field> run_fields() {
  using S = Scenario;
  using T = Training;
  using P = Parallel;
  using I = Inference;
  return {
      in<&S::training, &T::sequence>("/training/sequence", count(max_count), "Tokens of one training sequence [S].",
                                     "the model's max_sequence, else 2048", "tokens"),
      in<&S::training, &T::micro_batch>("/training/micro_batch", positive(max_count),
                                        "Sequences in one forward pass [B]; activations grow in proportion.", "",
                                        "sequences"),
      in<&S::training, &T::global_batch>(
          "/training/global_batch", count(max_count),
          "Sequences in one optimizer step on all devices, a multiple of micro_batch times the data-parallel replicas.",
          "micro_batch", "sequences"),
      in<&S::training, &T::precision>("/training/precision", "Which tensors are stored in which precision.",
                                      "bf16_mixed, else fp16_mixed, else fp32, as the device has it"),
      in<&S::training, &T::recompute>(
          "/training/recompute", "What the backward pass computes again instead of keeping: less memory, more time."),
      in<&S::training, &T::optimizer>("/training/optimizer",
                                      "Update rule: sgd keeps no state, momentum one tensor, "
                                      "adamw two."),
      in<&S::training, &T::causal_flop>(
          "/training/causal_flop", "Convention for model FLOPs of causal attention: the full square or half of it."),
      in<&S::training, &T::parallel, &P::tensor>(
          "/training/parallel/tensor", positive(1e6),
          "Devices that share the matrices of every block [T]; divides heads and mlp_size."),
      in<&S::training, &T::parallel, &P::sequence>(
          "/training/parallel/sequence",
          "Sequence parallelism: the tensor-parallel devices share the residual stream, norms and dropout as well."),
      in<&S::training, &T::parallel, &P::save_full_inputs>(
          "/training/parallel/save_full_inputs",
          "With sequence: keep the gathered inputs of matrix products for the backward pass, more memory, less "
          "communication."),
      in<&S::training, &T::parallel, &P::context>("/training/parallel/context", positive(1e6),
                                                  "Devices of a ring that share every sequence [R]."),
      in<&S::training, &T::parallel, &P::context_sharding>(
          "/training/parallel/context_sharding",
          "Which positions a device of the ring holds; decides how evenly the causal work is spread."),
      in<&S::training, &T::parallel, &P::pipeline>("/training/parallel/pipeline", positive(max_stages),
                                                   "Stages that the layers are cut into [P]."),
      in<&S::training, &T::parallel, &P::virtual_stages>(
          "/training/parallel/virtual_stages", positive(max_layers),
          "Chunks of layers per stage [v]: a smaller bubble, more transfers; above 1 needs the interleaved schedule."),
      in<&S::training, &T::parallel, &P::schedule>("/training/parallel/schedule",
                                                   "Order of forward and backward passes of a pipeline."),
      in<&S::training, &T::parallel, &P::zero>(
          "/training/parallel/zero", count(3),
          "ZeRO stage: data-parallel devices share 1 the optimizer's state, 2 also "
          "the gradients, 3 also the parameters."),
      word<&S::training, &T::frozen>("/training/frozen", parameter_groups,
                                     "Parameters that are not trained: no gradient, no optimizer state."),
      in<&S::training, &T::steps>("/training/steps", positive(1e9), "Optimizer steps of a run.", "", "steps"),
      in<&S::training, &T::warmup_steps>("/training/warmup_steps", count(1e9),
                                         "Steps over which the learning rate rises.", "", "steps"),
      in<&S::training, &T::learning_rate>("/training/learning_rate", above_zero(1e3), "Highest learning rate."),
      in<&S::training, &T::final_learning_rate>("/training/final_learning_rate", count(1e3),
                                                "Learning rate where the cosine ends."),
      in<&S::training, &T::beta1>("/training/beta1", fraction, "AdamW: decay of the first moment."),
      in<&S::training, &T::beta2>("/training/beta2", fraction, "AdamW: decay of the second moment."),
      in<&S::training, &T::epsilon>("/training/epsilon", above_zero(1),
                                    "AdamW: added to the root of the second moment."),
      in<&S::training, &T::momentum>("/training/momentum", fraction, "Decay of the momentum optimizer's state."),
      in<&S::training, &T::weight_decay>("/training/weight_decay", count(1e3), "Decoupled weight decay on matrices."),
      in<&S::training, &T::gradient_clip>("/training/gradient_clip", count(1e9),
                                          "Largest global norm of the gradient; 0 is off."),
      in<&S::training, &T::seed>("/training/seed", count(max_seed), "Start of every random stream of a run."),
      in<&S::inference, &I::batch>("/inference/batch", positive(max_count), "Sequences decoded together.", "",
                                   "sequences"),
      in<&S::inference, &I::prompt_tokens>("/inference/prompt_tokens", positive(max_count), "Tokens of a prompt.",
                                           "512, at most half of max_sequence", "tokens"),
      in<&S::inference, &I::new_tokens>("/inference/new_tokens", count(max_count), "Tokens generated per sequence.",
                                        "128, at most what max_sequence leaves", "tokens"),
      in<&S::inference, &I::precision>("/inference/precision", "Precision of matrix products and activations.",
                                       "bf16, else fp16, else fp32, as the device has it"),
      in<&S::inference, &I::weights>(
          "/inference/weights", "Stored precision of the weights: fp8 and fp4 stand for any format of 8 and 4 bits.",
          "precision"),
      in<&S::inference, &I::cache>("/inference/cache", "Stored precision of the cached keys and values.", "precision"),
      in<&S::inference, &I::tensor>("/inference/tensor", positive(1e6),
                                    "Devices that share one replica's matrices and heads [T]."),
      in<&S::attention>("/attention",
                        "naive stores the S x S scores, flash never does; automatic is the software profile's choice."),
  };
}

template <class Record, auto Member>
FieldOf<Record> element(std::string_view key, Range range, std::string_view help,
                        std::span<const std::string_view> choices = {}) {
  FieldInfo info;
  info.pointer = key;
  info.range = range;
  info.help = help;
  info.choices = choices;
  return row<Record, Member>(info);
}

}  // namespace

namespace field_access {

template <>
std::span<const FieldOf<ProductPoint>> record_fields() {
  using P = ProductPoint;
  static const std::vector<FieldOf<P>> table{
      element<P, &P::m>("/m", positive(max_count), "Rows of the result."),
      element<P, &P::n>("/n", positive(max_count), "Columns of the result."),
      element<P, &P::k>("/k", positive(max_count), "Length of the inner products."),
      element<P, &P::kernel>("/kernel", {}, "The kernel that does the product, by the name of its contract."),
      element<P, &P::rate>("/rate_flop_per_s", above_zero(max_rate), "FLOPs of the kernel per second."),
  };
  return table;
}

template <>
std::span<const FieldOf<LoopPoint>> record_fields() {
  using P = LoopPoint;
  static const std::vector<FieldOf<P>> table{
      element<P, &P::loop>("/loop", {}, "Name of the loop."),
      element<P, &P::elements>("/elements", positive(9e15), "Elements it went over."),
      element<P, &P::time>("/time_s", count(1e6), "Time of the whole loop."),
  };
  return table;
}

}  // namespace field_access

std::span<const Field> fields() {
  static const std::vector<Field> table = [] {
    std::vector<Field> all = model_fields();
    for (const auto& part : {hardware_fields(), software_fields(), cluster_fields(), run_fields()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return table;
}

std::span<const std::string_view> sections() {
  static constexpr std::array<std::string_view, 6> names{"model",   "hardware", "software",
                                                         "cluster", "training", "inference"};
  return names;
}

std::span<const std::string_view> preset_sections() { return sections().first(4); }

const Field* find_field(std::string_view pointer) {
  for (const Field& field : fields())
    if (field.info.pointer == pointer) return &field;
  return nullptr;
}

json to_json(const Scenario& scenario) {
  json document = json::object();
  for (const Field& field : fields()) {
    if (!scenario.has_training && field.info.pointer.starts_with("/training/")) continue;
    if (!scenario.has_inference && field.info.pointer.starts_with("/inference/")) continue;
    json value = field.write(scenario);
    if (!value.is_null()) document[json::json_pointer(std::string(field.info.pointer))] = std::move(value);
  }
  return document;
}

}  // namespace dtcalc
