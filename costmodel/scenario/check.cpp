#include "costmodel/scenario/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

/// Collects the errors of combinations; a check whose fields could not be read is skipped.
class Checks {
 public:
  Checks(const Given& given, std::vector<Error>& errors) : given_(given), errors_(errors) {}

  /// `pointers` are the fields that the condition looks at; the first is the place of the error.
  void require(bool condition, std::initializer_list<std::string_view> pointers, const std::string& value,
               const std::string& reason, const std::string& way_out) {
    if (condition || std::any_of(pointers.begin(), pointers.end(), [&](auto pointer) { return faulty(pointer); }))
      return;
    errors_.push_back({std::string(*pointers.begin()), value, reason, way_out});
  }

 private:
  bool faulty(std::string_view pointer) const {
    return std::any_of(given_.faulty.begin(), given_.faulty.end(),
                       [&](const std::string& bad) { return pointer == bad || pointer.starts_with(bad + "/"); });
  }
  const Given& given_;
  std::vector<Error>& errors_;
};

template <class T>
std::string text(T value) {
  return fmt::format("{}", value);
}

/// Divisors of `n` for a way out, at most the largest six.
std::string divisors(std::int64_t n) {
  constexpr std::int64_t searched = 1 << 20;
  constexpr std::size_t enough = 6;
  std::vector<std::string> found;
  for (std::int64_t d = 1; d <= std::min(n, searched) && found.size() < enough; ++d)
    if (n % d == 0) found.push_back(text(d));
  return listed(found);
}

// Products of sizes that must not overflow, saturating at the largest integer.
std::int64_t times(std::int64_t a, std::int64_t b) { return a != 0 && b > INT64_MAX / a ? INT64_MAX : a * b; }
template <class... Rest>
std::int64_t times(std::int64_t a, std::int64_t b, Rest... rest) {
  return times(times(a, b), rest...);
}
std::int64_t plus(std::int64_t a, std::int64_t b) { return b > INT64_MAX - a ? INT64_MAX : a + b; }
template <class... Rest>
std::int64_t plus(std::int64_t a, std::int64_t b, Rest... rest) {
  return plus(plus(a, b), rest...);
}

constexpr std::int64_t max_parameters = std::int64_t{1} << 58;  // times 18 bytes of training state stays below 2^63
constexpr std::int64_t max_operator_flop = std::int64_t{1} << 62;
constexpr std::int64_t max_tensor_bytes = std::int64_t{1} << 62;

/// An upper bound of the parameters: gated MLP, all biases, four norms a block, untied head.
std::int64_t parameter_bound(const Model& m) {
  const std::int64_t attention_width = times(plus(m.heads, times(2, m.kv_heads)), m.head_size);
  const std::int64_t block = plus(times(m.hidden_size, plus(attention_width, times(m.heads, m.head_size))),
                                  times(3, m.hidden_size, m.mlp_size), times(2, attention_width),
                                  times(12, m.hidden_size), times(2, m.mlp_size));
  return plus(times(m.layers, block), times(2, plus(m.vocabulary_size, 2), m.hidden_size),
              times(std::max(m.max_sequence, m.position_rows), m.hidden_size));
}

/// The largest FLOPs of one matrix product over `batch` sequences of `length` tokens.
std::int64_t operator_flop_bound(const Model& m, std::int64_t batch, std::int64_t length) {
  const std::int64_t width = std::max({times(m.heads, m.head_size), m.mlp_size, m.vocabulary_size});
  const std::int64_t linear = times(2, batch, length, m.hidden_size, width);
  const std::int64_t scores = times(times(2, batch, m.heads, m.head_size), length, length);
  return std::max(linear, scores);
}

/// An upper bound of the bytes of all tensors that a pass makes, in 8-byte elements.
std::int64_t tensor_bytes_bound(const Model& m, std::int64_t batch, std::int64_t length) {
  const std::int64_t tokens = times(batch, length);
  const std::int64_t per_token =
      plus(times(24, m.hidden_size), times(8, m.mlp_size), times(8, plus(m.heads, times(2, m.kv_heads)), m.head_size),
           times(4, m.heads, length));
  return times(8, tokens, plus(times(m.layers, per_token), times(4, m.vocabulary_size)));
}

void check_size(Checks& checks, const Model& model, std::string_view pointer, std::int64_t batch, std::int64_t length) {
  const std::string tokens = fmt::format("{} sequences of {} tokens", batch, length);
  const std::initializer_list<std::string_view> where{pointer, "/model"};
  if (operator_flop_bound(model, batch, length) >= max_operator_flop)
    checks.require(false, where, "", tokens + " give an operator of 2^62 FLOPs or more, which overflows",
                   "use fewer sequences, shorter ones or a smaller model");
  else
    checks.require(tensor_bytes_bound(model, batch, length) < max_tensor_bytes, where, "",
                   tokens + " give tensors of 2^62 bytes or more, which overflows",
                   "use fewer sequences, shorter ones or a smaller model");
}

void check_rope(Checks& checks, const Model& m) {
  const Rope& rope = m.rope;
  const std::int64_t rotary = rope.rotary_size > 0 ? rope.rotary_size : m.head_size;
  if (rope.rotary_size > 0) {
    checks.require(rotary % 2 == 0, {"/model/rope/rotary_size"}, text(rotary), "is odd, but channels rotate in pairs",
                   fmt::format("use {}", rotary + 1 <= m.head_size ? rotary + 1 : rotary - 1));
    checks.require(rotary <= m.head_size, {"/model/rope/rotary_size", "/model/head_size"}, text(rotary),
                   fmt::format("is larger than head_size ({})", m.head_size),
                   "use an even number up to head_size, or 0 for all of it");
  } else {
    checks.require(rotary % 2 == 0, {"/model/head_size", "/model/hidden_size", "/model/heads"}, text(rotary),
                   "is odd, but RoPE rotates channels in pairs",
                   "use an even head_size or give an even /model/rope/rotary_size");
  }
  const bool needs_length =
      rope.scaling == RopeScaling::llama3 || rope.scaling == RopeScaling::yarn || rope.scaling == RopeScaling::longrope;
  checks.require(!needs_length || rope.original_positions > 0,
                 {"/model/rope/original_positions", "/model/rope/scaling"}, text(rope.original_positions),
                 fmt::format("is needed by {} scaling", name_of(rope.scaling)),
                 "give the sequence length before stretching, e.g. 8192 for Llama 3.1");
  checks.require(
      rope.scaling != RopeScaling::llama3 || rope.low_frequency_factor < rope.high_frequency_factor,
      {"/model/rope/low_frequency_factor", "/model/rope/high_frequency_factor"}, text(rope.low_frequency_factor),
      fmt::format("is not below high_frequency_factor ({})", rope.high_frequency_factor), "use 1 and 4 as Llama 3.1");
  checks.require(rope.scaling != RopeScaling::none || rope.factor == 1, {"/model/rope/factor", "/model/rope/scaling"},
                 text(rope.factor), "has no effect without scaling",
                 "give /model/rope/scaling or leave the factor at 1");
}

std::string supported_precisions(const Device& device) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < EnumNames<Precision>::list.size(); ++i)
    if (device.rate(compute_dtype(static_cast<Precision>(i))).value() > 0)
      words.emplace_back(EnumNames<Precision>::list[i]);
  return listed(words);
}

std::string supported_dtypes(const Device& device) {
  std::vector<std::string> words;
  words.reserve(device.compute.size());
  for (const ComputeRate& rate : device.compute) words.emplace_back(name_of(rate.dtype));
  return listed(words);
}

void check_training(Checks& checks, const Scenario& s) {
  const Training& t = s.training;
  const Model& m = s.model;
  checks.require(s.hardware.rate(compute_dtype(t.precision)).value() > 0, {"/training/precision", "/hardware"},
                 fmt::format("\"{}\"", name_of(t.precision)),
                 fmt::format("needs {} arithmetic, which {} does not have", name_of(compute_dtype(t.precision)),
                             s.hardware.id.empty() ? "the device" : s.hardware.id),
                 "use " + supported_precisions(s.hardware));
  checks.require(t.global_batch % t.micro_batch == 0, {"/training/micro_batch", "/training/global_batch"},
                 text(t.micro_batch), fmt::format("does not divide the global batch ({})", t.global_batch),
                 "use " + divisors(t.global_batch));
  checks.require(m.position != Position::learned || m.max_sequence == 0 || t.sequence <= m.max_sequence,
                 {"/training/sequence", "/model/max_sequence", "/model/position"}, text(t.sequence),
                 fmt::format("is beyond the learned position table ({} rows)", m.max_sequence),
                 fmt::format("use at most {} or raise /model/max_sequence", m.max_sequence));
  checks.require(t.warmup_steps <= t.steps, {"/training/warmup_steps", "/training/steps"}, text(t.warmup_steps),
                 fmt::format("is more than the run's steps ({})", t.steps), fmt::format("use at most {}", t.steps));
  checks.require(t.final_learning_rate <= t.learning_rate, {"/training/final_learning_rate", "/training/learning_rate"},
                 text(t.final_learning_rate), fmt::format("is above learning_rate ({})", t.learning_rate),
                 "the cosine falls; swap the two");
  const auto frozen = [&](std::string_view group) {
    return std::find(t.frozen.begin(), t.frozen.end(), group) != t.frozen.end();
  };
  checks.require(!m.tied_embeddings || !frozen("head") || frozen("embedding"),
                 {"/training/frozen", "/model/tied_embeddings"}, "\"head\"",
                 "cannot be frozen alone: it is the token embedding's matrix",
                 "freeze \"embedding\" too or set /model/tied_embeddings to false");
  checks.require(m.gated_mlp || !frozen("gate"), {"/training/frozen", "/model/gated_mlp"}, "\"gate\"",
                 "cannot be frozen: the MLP has no gate", "leave it out or set /model/gated_mlp");
  checks.require(m.position == Position::learned || !frozen("position"), {"/training/frozen", "/model/position"},
                 "\"position\"", fmt::format("cannot be frozen: {} positions have no parameters", name_of(m.position)),
                 "leave it out");
  check_size(checks, m, "/training/micro_batch", t.micro_batch, t.sequence);
}

/// Whether `ways` devices can share every block's matrices.
void check_tensor(Checks& checks, const Scenario& s, std::string_view key, std::int64_t ways) {
  const Model& m = s.model;
  const auto cuts = [&](std::string_view size_key, std::string_view size_name, std::int64_t size) {
    checks.require(size % ways == 0, {key, size_key}, text(ways),
                   fmt::format("does not divide {} ({})", size_name, size), "use " + divisors(size));
  };
  cuts("/model/heads", "heads", m.heads);
  cuts("/model/mlp_size", "mlp_size", m.mlp_size);
  checks.require(ways % m.kv_heads == 0 || m.kv_heads % ways == 0, {key, "/model/kv_heads"}, text(ways),
                 fmt::format("neither divides kv_heads ({}) nor is a multiple of it", m.kv_heads),
                 "use " + divisors(m.kv_heads) + ", or a multiple that divides heads");
  checks.require(ways == 1 || m.qk_norm != QkNorm::full, {key, "/model/qk_norm"}, text(ways),
                 "needs a collective inside a norm over all heads, which is not modelled", "use 1 or qk_norm per_head");
}

/// Whether the layout cuts every size evenly, and the devices of the cluster are all used.
void check_parallel(Checks& checks, const Scenario& s) {
  const Training& t = s.training;
  const Parallel& p = t.parallel;
  const Model& m = s.model;
  constexpr std::string_view tensor = "/training/parallel/tensor", context = "/training/parallel/context",
                             pipeline = "/training/parallel/pipeline", chunks = "/training/parallel/virtual_stages",
                             schedule = "/training/parallel/schedule";
  check_tensor(checks, s, tensor, p.tensor);
  checks.require(p.sequence || !p.save_full_inputs,
                 {"/training/parallel/save_full_inputs", "/training/parallel/sequence"}, "true",
                 "has no meaning without sequence parallelism", "set it to false or sequence to true");
  checks.require(!p.sequence || p.tensor > 1, {"/training/parallel/sequence", tensor}, "true",
                 "has no meaning with one tensor-parallel device", "set it to false or raise tensor");
  const std::int64_t parts = p.context * (p.context > 1 && p.context_sharding == ContextSharding::zigzag ? 2 : 1);
  checks.require(t.sequence % parts == 0, {context, "/training/sequence", "/training/parallel/context_sharding"},
                 text(p.context),
                 fmt::format("cuts the sequence of {} tokens into {} unequal parts", t.sequence, parts),
                 "use " + divisors(t.sequence));
  if (p.sequence)
    checks.require(
        t.sequence % (p.context * p.tensor) == 0, {"/training/parallel/sequence", tensor, context}, "true",
        fmt::format("cuts the sequence of {} tokens into {} unequal parts", t.sequence, p.context * p.tensor),
        "set it to false or change the layout");
  checks.require(p.context == 1 || m.sliding_window == 0, {context, "/model/sliding_window"}, text(p.context),
                 "with a sliding window is not modelled", "use 1");
  checks.require(p.pipeline * p.virtual_stages <= m.layers, {pipeline, chunks, "/model/layers"}, text(p.pipeline),
                 fmt::format("stages of {} chunks are more than the {} layers", p.virtual_stages, m.layers),
                 fmt::format("use at most {}", std::max<std::int64_t>(1, m.layers / p.virtual_stages)));
  checks.require((p.virtual_stages > 1) == (p.schedule == PipelineSchedule::interleaved), {chunks, schedule},
                 text(p.virtual_stages), fmt::format("does not go with the {} schedule", name_of(p.schedule)),
                 p.virtual_stages > 1 ? "use the interleaved schedule" : "use 2 or more, or the 1f1b schedule");
  checks.require(p.virtual_stages == 1 || m.layers % (p.pipeline * p.virtual_stages) == 0,
                 {chunks, pipeline, "/model/layers"}, text(p.virtual_stages),
                 fmt::format("chunks on {} stages do not divide the {} layers", p.pipeline, m.layers),
                 "use " + divisors(m.layers / std::max<std::int64_t>(1, p.pipeline)));
  const std::int64_t all = devices(s.cluster), model_parallel = p.tensor * p.context * p.pipeline;
  checks.require(all % model_parallel == 0, {tensor, context, pipeline, "/cluster/nodes", "/cluster/devices_per_node"},
                 text(p.tensor),
                 fmt::format("x context {} x pipeline {} = {} devices per replica do not divide the cluster's {}",
                             p.context, p.pipeline, model_parallel, all),
                 fmt::format("give a cluster of a multiple of {} devices", model_parallel));
  if (all % model_parallel != 0 || t.global_batch % t.micro_batch != 0) return;  // said above, or by check_training
  const std::int64_t replicas = data_parallel(s);
  checks.require(
      t.global_batch % (t.micro_batch * replicas) == 0,
      {"/training/global_batch", "/training/micro_batch", "/cluster", tensor, context, pipeline}, text(t.global_batch),
      fmt::format("is not a multiple of micro_batch ({}) x data-parallel replicas ({})", t.micro_batch, replicas),
      fmt::format("use a multiple of {}", t.micro_batch * replicas));
  if (t.global_batch % (t.micro_batch * replicas) != 0) return;
  const std::int64_t alive = (micro_batches(s) + p.pipeline - 1) / p.pipeline;  // all of them, on 1 / P of the layers
  checks.require(p.pipeline == 1 || times(tensor_bytes_bound(m, t.micro_batch, t.sequence), alive) < max_tensor_bytes,
                 {"/training/global_batch", pipeline, "/model"}, text(t.global_batch),
                 "gives live micro-batches of 2^62 bytes or more, which overflows", "use a smaller global batch");
  checks.require(p.schedule != PipelineSchedule::interleaved || micro_batches(s) % p.pipeline == 0,
                 {schedule, pipeline, "/training/global_batch"}, fmt::format("\"{}\"", name_of(p.schedule)),
                 fmt::format("needs micro-batches ({}) in multiples of the stages ({})", micro_batches(s), p.pipeline),
                 "change global_batch or micro_batch, or use the 1f1b schedule");
}

/// Whether every figure with a source is a key of the section.
void check_sources(Checks& checks, std::string_view section, const std::map<std::string, std::string>& sources,
                   std::string_view example) {
  const std::string place = fmt::format("/{}/sources", section);
  for (const auto& [key, source] : sources) {
    const std::string pointer = fmt::format("/{}/{}", section, key);
    const bool known = std::any_of(fields().begin(), fields().end(), [&](const Field& field) {
      return field.info.pointer == pointer || field.info.pointer.starts_with(pointer + "/");
    });
    checks.require(known, {place}, fmt::format("\"{}\"", key), fmt::format("is not a key of a {} profile", section),
                   fmt::format("name a figure, e.g. {}", example));
  }
}

/// Whether devices that the cluster puts side by side can reach each other.
void check_links(Checks& checks, const Scenario& s) {
  const Cluster& c = s.cluster;
  const std::string device = s.hardware.id.empty() ? "the device" : s.hardware.id;
  checks.require(c.devices_per_node == 1 || c.link_bandwidth.value() > 0 || s.hardware.link_bandwidth.value() > 0,
                 {"/cluster/devices_per_node", "/cluster/link_bytes_per_s", "/hardware"}, text(c.devices_per_node),
                 fmt::format("devices of a node have no link: neither the cluster nor {} gives a rate", device),
                 "give /cluster/link_bytes_per_s, or use 1");
  checks.require(c.nodes == 1 || c.nic_bandwidth.value() > 0 || s.hardware.nic_bandwidth.value() > 0,
                 {"/cluster/nodes", "/cluster/nic_bytes_per_s", "/hardware"}, text(c.nodes),
                 fmt::format("nodes have no network: neither the cluster nor {} gives a rate", device),
                 "give /cluster/nic_bytes_per_s, or use 1");
}

void check_inference(Checks& checks, const Scenario& s) {
  const Inference& i = s.inference;
  const Model& m = s.model;
  checks.require(s.hardware.rate(i.precision).value() > 0, {"/inference/precision", "/hardware"},
                 fmt::format("\"{}\"", name_of(i.precision)),
                 fmt::format("needs {} arithmetic, which {} does not have", name_of(i.precision),
                             s.hardware.id.empty() ? "the device" : s.hardware.id),
                 "use " + supported_dtypes(s.hardware));
  const std::int64_t length = i.prompt_tokens + i.new_tokens;
  checks.require(m.position != Position::learned || m.max_sequence == 0 || length <= m.max_sequence,
                 {"/inference/new_tokens", "/inference/prompt_tokens", "/model/max_sequence", "/model/position"},
                 text(i.new_tokens),
                 fmt::format("after {} prompt tokens runs beyond the learned position table ({} rows)", i.prompt_tokens,
                             m.max_sequence),
                 fmt::format("keep prompt_tokens + new_tokens at or below {}", m.max_sequence));
  check_size(checks, m, "/inference/batch", i.batch, length);
  check_tensor(checks, s, "/inference/tensor", i.tensor);
  checks.require(devices(s.cluster) % i.tensor == 0, {"/inference/tensor", "/cluster"}, text(i.tensor),
                 fmt::format("does not divide the cluster's {} devices", devices(s.cluster)),
                 fmt::format("give a cluster of a multiple of {} devices", i.tensor));
}

}  // namespace

void resolve(Model& model, const Given& given) {
  if (model.kv_heads == 0) model.kv_heads = model.heads;
  if (model.head_size == 0 && model.hidden_size % model.heads == 0) model.head_size = model.hidden_size / model.heads;
  if (model.mlp_size == 0) model.mlp_size = 4 * model.hidden_size;
  if (model.norm == Norm::rms_norm && !given.pointers.contains("/model/norm_bias")) model.norm_bias = false;
}

void resolve(Scenario& scenario, const Given& given) {
  constexpr std::int64_t unlimited_default = 2048;
  Training& training = scenario.training;
  if (training.sequence == 0)
    training.sequence = scenario.model.max_sequence > 0 ? scenario.model.max_sequence : unlimited_default;
  if (training.global_batch == 0)
    training.global_batch = training.micro_batch * std::max<std::int64_t>(1, data_parallel(scenario));
  Inference& inference = scenario.inference;
  if (const std::int64_t longest = scenario.model.max_sequence; longest > 1) {
    if (!given.pointers.contains("/inference/prompt_tokens"))
      inference.prompt_tokens = std::min(inference.prompt_tokens, longest / 2);
    if (!given.pointers.contains("/inference/new_tokens") && inference.prompt_tokens <= longest)
      inference.new_tokens = std::min(inference.new_tokens, longest - inference.prompt_tokens);
  }
  const auto has = [&](Dtype dtype) { return scenario.hardware.rate(dtype).value() > 0; };
  if (!given.pointers.contains("/training/precision"))
    training.precision = has(Dtype::bf16)   ? Precision::bf16_mixed
                         : has(Dtype::fp16) ? Precision::fp16_mixed
                                            : Precision::fp32;
  if (!given.pointers.contains("/inference/precision"))
    inference.precision = has(Dtype::bf16) ? Dtype::bf16 : has(Dtype::fp16) ? Dtype::fp16 : Dtype::fp32;
  if (!given.pointers.contains("/inference/weights")) inference.weights = inference.precision;
  if (!given.pointers.contains("/inference/cache")) inference.cache = inference.precision;
}

void check(const Model& m, const Given& given, std::vector<Error>& errors) {
  Checks checks(given, errors);
  checks.require(m.kv_heads <= m.heads, {"/model/kv_heads", "/model/heads"}, text(m.kv_heads),
                 fmt::format("is more than heads ({})", m.heads), "use " + divisors(m.heads));
  checks.require(m.kv_heads > m.heads || m.heads % m.kv_heads == 0, {"/model/kv_heads", "/model/heads"},
                 text(m.kv_heads), fmt::format("does not divide heads ({})", m.heads), "use " + divisors(m.heads));
  checks.require(m.head_size > 0, {"/model/heads", "/model/hidden_size", "/model/head_size"}, text(m.heads),
                 fmt::format("does not divide hidden_size ({})", m.hidden_size),
                 fmt::format("use {}, or give /model/head_size", divisors(m.hidden_size)));
  if (m.position == Position::rope && m.head_size > 0) check_rope(checks, m);
  checks.require(m.position != Position::learned || m.max_sequence > 0, {"/model/max_sequence", "/model/position"},
                 text(m.max_sequence), "gives no rows to the learned position table",
                 "give the longest sequence, or use rope, alibi or none");
  checks.require(m.position_rows == 0 || m.position != Position::learned || m.position_rows >= m.max_sequence,
                 {"/model/position_rows", "/model/max_sequence"}, text(m.position_rows),
                 fmt::format("is less than max_sequence ({})", m.max_sequence),
                 "leave it out to have max_sequence rows");
  checks.require(m.norm != Norm::rms_norm || !m.norm_bias, {"/model/norm_bias", "/model/norm"}, "true",
                 "cannot be: RMSNorm has no bias", "set it to false or use layer_norm");
  checks.require(m.block != BlockForm::parallel || m.norm_placement == NormPlacement::pre,
                 {"/model/norm_placement", "/model/block"}, fmt::format("\"{}\"", name_of(m.norm_placement)),
                 "is not modelled in a parallel block", "use pre, or a serial block");
  checks.require(!m.parallel_norms || m.block == BlockForm::parallel, {"/model/parallel_norms", "/model/block"}, "true",
                 "has no meaning in a serial block, which has two norms anyway",
                 "set it to false or /model/block to parallel");
  checks.require(m.attention_scale != AttentionScale::given || m.attention_scale_value > 0,
                 {"/model/attention_scale_value", "/model/attention_scale"}, text(m.attention_scale_value),
                 "is no factor", "give a number above 0 or another attention_scale");
  checks.require(m.global_layer_every == 0 || m.sliding_window > 0,
                 {"/model/global_layer_every", "/model/sliding_window"}, text(m.global_layer_every),
                 "has no meaning without a sliding window", "give /model/sliding_window or use 0");
  checks.require(m.global_layer_every != 1, {"/model/global_layer_every"}, "1",
                 "makes every layer global, so that no window is left", "set /model/sliding_window to 0 instead");
  checks.require(parameter_bound(m) < max_parameters, {"/model", "/model/layers", "/model/hidden_size"}, "",
                 "has 2^58 parameters or more, whose bytes overflow", "use smaller sizes");
}

void check(const Device& device, const Given& given, std::vector<Error>& errors) {
  Checks checks(given, errors);
  checks.require(!device.compute.empty(), {"/hardware/compute_flop_per_s"}, "", "has no rate",
                 "give at least one, e.g. {\"fp32\": 1e11}");
  checks.require(device.memory_bandwidth.value() > 0, {"/hardware/memory_bandwidth_bytes_per_s"}, "", "is missing",
                 "give the rate of device memory in bytes per second");
  checks.require(device.memory.value() > 0, {"/hardware/memory_bytes"}, "", "is missing",
                 "give the device memory in bytes");
  check_sources(checks, "hardware", device.sources, "memory_bytes");
}

void check(const Cluster& cluster, const Given& given, std::vector<Error>& errors) {
  Checks checks(given, errors);
  check_sources(checks, "cluster", cluster.sources, "nic_bytes_per_s");
}

void check(const Scenario& s, const Given& given, std::vector<Error>& errors) {
  check(s.model, given, errors);
  check(s.hardware, given, errors);
  check(s.cluster, given, errors);
  Checks checks(given, errors);
  check_links(checks, s);
  if (s.has_training) {
    check_training(checks, s);
    check_parallel(checks, s);
  }
  if (s.has_inference) check_inference(checks, s);
}

}  // namespace dtcalc
