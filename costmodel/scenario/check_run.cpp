// Whether a training step or a replica for serving goes together with model, device and cluster.
#include <algorithm>

#include "costmodel/scenario/checks.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::checks {
namespace {

std::string supported_precisions(const Device& device) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < EnumNames<Precision>::list.size(); ++i)
    if (const auto p = static_cast<Precision>(i);
        device.rate(compute_dtype(p)).value() > 0 && (p != Precision::fp8_mixed || device.rate(Dtype::fp8).value() > 0))
      words.emplace_back(EnumNames<Precision>::list[i]);
  return listed(words);
}

std::string supported_dtypes(const Device& device) {
  std::vector<std::string> words;
  words.reserve(device.compute.size());
  for (const ComputeRate& rate : device.compute) words.emplace_back(name_of(rate.dtype));
  return listed(words);
}

/// Whether the layout cuts every size evenly, and the devices of the cluster are all used.
void parallel(Checks& checks, const Scenario& s) {
  const Training& t = s.training;
  const Parallel& p = t.parallel;
  const Model& m = s.model;
  constexpr std::string_view ways = "/training/parallel/tensor", context = "/training/parallel/context",
                             pipeline = "/training/parallel/pipeline", chunks = "/training/parallel/virtual_stages",
                             schedule = "/training/parallel/schedule", ends = "/training/parallel/ends_count_as_layers";
  tensor(checks, s, ways, p.tensor);
  checks.require(p.sequence || !p.save_full_inputs,
                 {"/training/parallel/save_full_inputs", "/training/parallel/sequence"}, "true",
                 "has no meaning without sequence parallelism", "set it to false or sequence to true");
  checks.require(!p.sequence || p.tensor > 1, {"/training/parallel/sequence", ways}, "true",
                 "has no meaning with one tensor-parallel device", "set it to false or raise tensor");
  const std::int64_t parts = p.context * (p.context > 1 && p.context_sharding == ContextSharding::zigzag ? 2 : 1);
  checks.require(t.sequence % parts == 0, {context, "/training/sequence", "/training/parallel/context_sharding"},
                 text(p.context),
                 fmt::format("cuts the sequence of {} tokens into {} unequal parts", t.sequence, parts),
                 "use " + divisors(t.sequence));
  if (p.sequence)
    checks.require(
        t.sequence % (p.context * p.tensor) == 0, {"/training/parallel/sequence", ways, context}, "true",
        fmt::format("cuts the sequence of {} tokens into {} unequal parts", t.sequence, p.context * p.tensor),
        "set it to false or change the layout");
  checks.require(p.context == 1 || m.sliding_window == 0, {context, "/model/sliding_window"}, text(p.context),
                 "with a sliding window is not modelled", "use 1");
  const std::int64_t places = m.layers + (p.ends_count_as_layers ? 2 : 0);
  const std::string dealt = fmt::format("{} layers{}", m.layers, p.ends_count_as_layers ? ", embedding and head" : "");
  checks.require(p.pipeline * p.virtual_stages <= places, {pipeline, chunks, ends, "/model/layers"}, text(p.pipeline),
                 fmt::format("stages of {} chunks are more than the {}", p.virtual_stages, dealt),
                 fmt::format("use at most {}", std::max<std::int64_t>(1, places / p.virtual_stages)));
  checks.require(!p.ends_count_as_layers || p.pipeline > 1, {ends, pipeline}, "true",
                 "has no meaning with one pipeline stage", "set it to false or raise pipeline");
  checks.require((p.virtual_stages > 1) == (p.schedule == PipelineSchedule::interleaved), {chunks, schedule},
                 text(p.virtual_stages), fmt::format("does not go with the {} schedule", name_of(p.schedule)),
                 p.virtual_stages > 1 ? "use the interleaved schedule" : "use 2 or more, or the 1f1b schedule");
  checks.require((p.virtual_stages == 1 && !p.ends_count_as_layers) || places % (p.pipeline * p.virtual_stages) == 0,
                 {chunks, pipeline, ends, "/model/layers"}, text(p.virtual_stages),
                 fmt::format("chunks on {} stages do not divide the {}", p.pipeline, dealt),
                 "use " + divisors(places / std::max<std::int64_t>(1, p.pipeline)));
  const std::int64_t all = devices(s.cluster), model_parallel = p.tensor * p.context * p.pipeline;
  checks.require(all % model_parallel == 0, {ways, context, pipeline, "/cluster/nodes", "/cluster/devices_per_node"},
                 text(p.tensor),
                 fmt::format("x context {} x pipeline {} = {} devices per replica do not divide the cluster's {}",
                             p.context, p.pipeline, model_parallel, all),
                 fmt::format("give a cluster of a multiple of {} devices", model_parallel));
  if (all % model_parallel != 0 || t.global_batch % t.micro_batch != 0) return;  // said above, or by training
  const std::int64_t replicas = data_parallel(s);
  checks.require(
      t.global_batch % (t.micro_batch * replicas) == 0,
      {"/training/global_batch", "/training/micro_batch", "/cluster", ways, context, pipeline}, text(t.global_batch),
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

}  // namespace

/// Whether `ways` devices can share every block's matrices.
void tensor(Checks& checks, const Scenario& s, std::string_view key, std::int64_t ways) {
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

void training(Checks& checks, const Scenario& s) {
  const Training& t = s.training;
  const Model& m = s.model;
  checks.require(s.hardware.rate(compute_dtype(t.precision)).value() > 0, {"/training/precision", "/hardware"},
                 fmt::format("\"{}\"", name_of(t.precision)),
                 fmt::format("needs {} arithmetic, which {} does not have", name_of(compute_dtype(t.precision)),
                             s.hardware.id.empty() ? "the device" : s.hardware.id),
                 "use " + supported_precisions(s.hardware));
  checks.require(t.precision != Precision::bf16_fsdp || t.parallel.zero == 3,
                 {"/training/precision", "/training/parallel/zero"}, "\"bf16_fsdp\"",
                 "keeps shards only, so it needs ZeRO stage 3",
                 "set training.parallel.zero to 3, or use bf16_autocast");
  checks.require(
      t.precision != Precision::fp8_mixed || s.hardware.rate(Dtype::fp8).value() > 0,
      {"/training/precision", "/hardware"}, "\"fp8_mixed\"",
      fmt::format("needs fp8 arithmetic, which {} does not have", s.hardware.id.empty() ? "the device" : s.hardware.id),
      "use " + supported_precisions(s.hardware));
  checks.require(t.global_batch % t.micro_batch == 0, {"/training/micro_batch", "/training/global_batch"},
                 text(t.micro_batch), fmt::format("does not divide the global batch ({})", t.global_batch),
                 "use " + divisors(t.global_batch));
  checks.require(m.position != Position::learned || m.input == ModelInput::image || m.max_sequence == 0 ||
                     t.sequence <= m.max_sequence,
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
  size(checks, m, "/training/micro_batch", t.micro_batch, t.sequence);
  parallel(checks, s);
  fine_tuning(checks, s);
}

void inference(Checks& checks, const Scenario& s) {
  const Inference& i = s.inference;
  const Model& m = s.model;
  checks.require(m.input == ModelInput::tokens && m.head == Head::language && m.causal,
                 {"/inference", "/model/head", "/model/input", "/model/causal"}, "",
                 "generates tokens, which this model does not", "leave the section out");
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
  size(checks, m, "/inference/batch", i.batch, length);
  tensor(checks, s, "/inference/tensor", i.tensor);
  checks.require(i.draft.model.empty() == (i.draft.acceptance == 0),
                 {"/inference/draft/acceptance", "/inference/draft/model"}, text(i.draft.acceptance),
                 i.draft.model.empty() ? "has no meaning without a draft model" : "accepts no draft",
                 i.draft.model.empty() ? "name one in /inference/draft/model, or leave it out"
                                       : "give the probability that a drafted token is accepted, e.g. 0.8");
  checks.require(devices(s.cluster) % i.tensor == 0, {"/inference/tensor", "/cluster"}, text(i.tensor),
                 fmt::format("does not divide the cluster's {} devices", devices(s.cluster)),
                 fmt::format("give a cluster of a multiple of {} devices", i.tensor));
}

}  // namespace dtcalc::checks
