#include "costmodel/scenario/check.hpp"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <utility>

#include "costmodel/scenario/checks.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

using checks::Checks;
using checks::divisors;
using checks::text;

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

/// Whether buffers can start at multiples of the stack's alignment as addresses have them.
void check_alignment(Checks& checks, std::int64_t bytes) {
  const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(bytes)));
  checks.require(bytes == below, {"/software/alignment_bytes"}, text(bytes), "is no power of two",
                 fmt::format("use {} or {}", below, 2 * below));
}

/// Whether rates that may be left out are either that, 0, or large enough for a time in seconds to be a finite number.
void check_rates(Checks& checks, std::initializer_list<std::pair<std::string_view, BytesPerSecond>> rates) {
  for (const auto& [pointer, rate] : rates)
    checks.require(rate.value() == 0 || rate.value() >= 1, {pointer}, text(rate.value()), "is below 1 byte per second",
                   "give the rate in bytes per second, or 0 for none");
}

/// Whether a name can stand in a report: one line of a terminal, and nothing that steers it.
void check_name(Checks& checks, std::string_view pointer, const std::string& name) {
  const bool control = std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  checks.require(!control, {pointer}, shown(name), "has control characters", "use one line of text");
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

}  // namespace

void resolve(Model& model, const Given& given) {
  const bool image = model.input == ModelInput::image;
  const auto unless_given = [&](std::string_view pointer, auto& member, auto value) {
    if (!given.pointers.contains(pointer)) member = value;
  };
  if (image) {
    unless_given("/model/head", model.head, model.text.layers > 0 ? Head::contrast : Head::classes);
    unless_given("/model/causal", model.causal, false);
    unless_given("/model/vocabulary_size", model.vocabulary_size, std::int64_t{0});
    unless_given("/model/max_sequence", model.max_sequence, patches(model) + model.class_token);
  }
  if (model.head != Head::language) unless_given("/model/tied_embeddings", model.tied_embeddings, false);
  if (model.text.mlp_size == 0) model.text.mlp_size = 4 * model.text.hidden_size;
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
  if (training.method == Method::ppo && training.prompt_tokens == 0) training.prompt_tokens = training.sequence / 2;
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
  if (!given.pointers.contains("/training/frozen_weights")) training.frozen_weights = compute_dtype(training.precision);
  if (!given.pointers.contains("/inference/precision"))
    inference.precision = has(Dtype::bf16) ? Dtype::bf16 : has(Dtype::fp16) ? Dtype::fp16 : Dtype::fp32;
  if (!given.pointers.contains("/inference/weights")) inference.weights = inference.precision;
  if (!given.pointers.contains("/inference/cache")) inference.cache = inference.precision;
}

void check(const Model& m, const Given& given, std::vector<Error>& errors) {
  Checks all(given, errors);
  check_name(all, "/model/name", m.name);
  all.require(m.kv_heads <= m.heads, {"/model/kv_heads", "/model/heads"}, text(m.kv_heads),
              fmt::format("is more than heads ({})", m.heads), "use " + divisors(m.heads));
  all.require(m.kv_heads > m.heads || m.heads % m.kv_heads == 0, {"/model/kv_heads", "/model/heads"}, text(m.kv_heads),
              fmt::format("does not divide heads ({})", m.heads), "use " + divisors(m.heads));
  all.require(m.head_size > 0, {"/model/heads", "/model/hidden_size", "/model/head_size"}, text(m.heads),
              fmt::format("does not divide hidden_size ({})", m.hidden_size),
              fmt::format("use {}, or give /model/head_size", divisors(m.hidden_size)));
  if (m.position == Position::rope && m.head_size > 0) check_rope(all, m);
  all.require(m.position != Position::learned || m.max_sequence > 0, {"/model/max_sequence", "/model/position"},
              text(m.max_sequence), "gives no rows to the learned position table",
              "give the longest sequence, or use rope, alibi or none");
  all.require(m.position_rows == 0 || m.position != Position::learned || m.position_rows >= m.max_sequence,
              {"/model/position_rows", "/model/max_sequence"}, text(m.position_rows),
              fmt::format("is less than max_sequence ({})", m.max_sequence), "leave it out to have max_sequence rows");
  all.require(m.norm != Norm::rms_norm || !m.norm_bias, {"/model/norm_bias", "/model/norm"}, "true",
              "cannot be: RMSNorm has no bias", "set it to false or use layer_norm");
  all.require(m.block != BlockForm::parallel || m.norm_placement == NormPlacement::pre,
              {"/model/norm_placement", "/model/block"}, fmt::format("\"{}\"", name_of(m.norm_placement)),
              "is not modelled in a parallel block", "use pre, or a serial block");
  all.require(!m.parallel_norms || m.block == BlockForm::parallel, {"/model/parallel_norms", "/model/block"}, "true",
              "has no meaning in a serial block, which has two norms anyway",
              "set it to false or /model/block to parallel");
  all.require(m.attention_scale != AttentionScale::given || m.attention_scale_value > 0,
              {"/model/attention_scale_value", "/model/attention_scale"}, text(m.attention_scale_value), "is no factor",
              "give a number above 0 or another attention_scale");
  all.require(m.global_layer_every == 0 || m.sliding_window > 0, {"/model/global_layer_every", "/model/sliding_window"},
              text(m.global_layer_every), "has no meaning without a sliding window",
              "give /model/sliding_window or use 0");
  all.require(m.global_layer_every != 1, {"/model/global_layer_every"}, "1",
              "makes every layer global, so that no window is left", "set /model/sliding_window to 0 instead");
  checks::vision(all, m);
  all.require(checks::parameter_bound(m) < checks::max_parameters, {"/model", "/model/layers", "/model/hidden_size"},
              "", "has 2^58 parameters or more, whose bytes overflow", "use smaller sizes");
}

void check(const Device& device, const Given& given, std::vector<Error>& errors) {
  Checks checks(given, errors);
  check_name(checks, "/hardware/name", device.name);
  check_name(checks, "/hardware/id", device.id);
  check_rates(checks, {{"/hardware/memory_bandwidth_bytes_per_s", device.memory_bandwidth},
                       {"/hardware/link_bytes_per_s", device.link_bandwidth},
                       {"/hardware/nic_bytes_per_s", device.nic_bandwidth}});
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
  check_name(checks, "/cluster/id", cluster.id);
  check_rates(checks, {{"/cluster/link_bytes_per_s", cluster.link_bandwidth},
                       {"/cluster/nic_bytes_per_s", cluster.nic_bandwidth}});
  check_sources(checks, "cluster", cluster.sources, "nic_bytes_per_s");
}

void check(const Scenario& s, const Given& given, std::vector<Error>& errors) {
  check(s.model, given, errors);
  check(s.hardware, given, errors);
  check(s.cluster, given, errors);
  Checks all(given, errors);
  check_name(all, "/software/id", s.software.id);
  check_alignment(all, s.software.alignment_bytes);
  all.require(!s.software.copy_logits || (s.software.narrow_logits && !s.software.fuse_loss),
              {"/software/copy_logits", "/software/narrow_logits", "/software/fuse_loss"}, "true",
              "is a copy in 4 bytes of logits in 2, and no fused loss makes one",
              "set narrow_logits to true and fuse_loss to false, or this to false");
  check_links(all, s);
  if (s.has_training) checks::training(all, s);
  if (s.has_inference) checks::inference(all, s);
}

}  // namespace dtcalc
