// What image models, adapters and the methods of fine-tuning go together with.
#include <algorithm>
#include <array>

#include "costmodel/scenario/checks.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/scenario/text_tower.hpp"

namespace dtcalc::checks {

void vision(Checks& checks, const Model& m) {
  const bool image = m.input == ModelInput::image;
  const auto quoted = [](std::string_view word) { return fmt::format("\"{}\"", word); };
  checks.require(image || m.vocabulary_size > 0, {"/model/vocabulary_size", "/model/input"}, text(m.vocabulary_size),
                 "gives no rows to the token embedding", "give the size of the vocabulary");
  if (image) {
    checks.require(m.patch_size > 0 && m.image_size > 0, {"/model/patch_size", "/model/image_size", "/model/input"},
                   text(m.patch_size), fmt::format("cuts no patches out of an image of {} pixels", m.image_size),
                   "give both, e.g. 16 and 224");
    checks.require(m.patch_size == 0 || m.image_size % m.patch_size == 0, {"/model/patch_size", "/model/image_size"},
                   text(m.patch_size), fmt::format("does not divide image_size ({})", m.image_size),
                   "use " + divisors(m.image_size));
    const std::int64_t positions = patches(m) + m.class_token;
    checks.require(
        m.max_sequence == positions, {"/model/max_sequence", "/model/image_size", "/model/patch_size"},
        text(m.max_sequence),
        fmt::format("is not the image's {} patches{}", patches(m), m.class_token ? " and the class token" : ""),
        fmt::format("leave it out, or give {}", positions));
    checks.require(m.head != Head::language && m.head != Head::value, {"/model/head", "/model/input"},
                   quoted(name_of(m.head)), "has no meaning for images", "use classes, contrast or reward");
    checks.require(!m.causal, {"/model/causal", "/model/input"}, "true",
                   "has no meaning for patches, which have no order", "leave it out");
  }
  checks.require(image || !m.class_token, {"/model/class_token", "/model/input"}, "true",
                 "is a position before the patches of an image", "leave it out");
  const bool wide = m.head == Head::classes || m.head == Head::contrast;
  checks.require(wide == (m.outputs > 0), {"/model/outputs", "/model/head"}, text(m.outputs),
                 fmt::format("does not go with a head of {}", name_of(m.head)),
                 wide ? "give the number of classes, or the width of the compared vectors" : "leave it out");
  checks.require(m.head == Head::language || !m.tied_embeddings, {"/model/tied_embeddings", "/model/head"}, "true",
                 "needs a head over the vocabulary", "leave it out");
  checks.require((m.head == Head::contrast) == (m.text.layers > 0), {"/model/text/layers", "/model/head"},
                 text(m.text.layers), fmt::format("does not go with a head of {}", name_of(m.head)),
                 "a contrast compares an image tower with a text tower: give both, or neither");
  checks.require(m.head != Head::contrast || image, {"/model/input", "/model/head"}, quoted(name_of(m.input)),
                 "is the text tower's part of a contrast",
                 "describe the image tower here, the other one in /model/text");
  checks.require(m.text.layers == 0 || m.text.hidden_size % m.text.heads == 0,
                 {"/model/text/heads", "/model/text/hidden_size"}, text(m.text.heads),
                 fmt::format("does not divide hidden_size ({})", m.text.hidden_size),
                 "use " + divisors(m.text.hidden_size));
  if (m.text.layers > 0 && m.text.hidden_size % m.text.heads == 0)
    checks.require(parameter_bound(text_model(m)) < max_parameters, {"/model/text", "/model"}, "",
                   "has 2^58 parameters or more, whose bytes overflow", "use smaller sizes");
  checks.require(m.text.layers == 0 || m.sliding_window == 0, {"/model/sliding_window", "/model/text/layers"},
                 text(m.sliding_window), "is not modelled in a model of two towers", "use 0");
}

namespace {

/// Models that a step holds beside its own, pairs, answers, pixels and comparisons: what they add must be countable.
void tower_sizes(Checks& checks, const Scenario& s) {
  const Training& t = s.training;
  const Model& m = s.model;
  const std::int64_t replicas = std::max<std::int64_t>(1, data_parallel(s));
  const std::int64_t models = (t.method == Method::ppo   ? 4
                               : t.method == Method::dpo ? 2
                                                         : 1) *
                              (t.adapter.rank > 0 ? 3 : 1);
  checks.require(models == 1 || times(models, parameter_bound(m)) < max_parameters, {"/training/method", "/model"},
                 fmt::format("\"{}\"", name_of(t.method)), "gives 2^58 parameters or more, whose bytes overflow",
                 "use a smaller model");
  if (t.method == Method::dpo || t.method == Method::reward)
    size(checks, m, "/training/micro_batch", times(2, t.micro_batch), t.sequence);
  if (t.method == Method::ppo) size(checks, m, "/training/global_batch", t.global_batch / replicas, t.sequence);
  if (m.input == ModelInput::image) {
    const std::int64_t pixels = times(times(t.micro_batch, m.image_channels), times(m.image_size, m.image_size));
    checks.require(times(pixels, times(2, m.hidden_size)) < max_tensor_bytes, {"/training/micro_batch", "/model"},
                   text(t.micro_batch), "images give an operator of 2^62 FLOPs or more, which overflows",
                   "use fewer or smaller images");
  }
  if (m.text.layers == 0 || m.text.hidden_size % m.text.heads != 0) return;
  size(checks, text_model(m), "/training/micro_batch", t.micro_batch, m.text.max_sequence);
  const std::int64_t compared = times(t.micro_batch, times(t.micro_batch, replicas));
  checks.require(times(compared, times(2, std::max<std::int64_t>(4, m.outputs))) < max_tensor_bytes,
                 {"/training/micro_batch", "/model/outputs", "/cluster"}, text(t.micro_batch),
                 "images on every rank give an operator of 2^62 FLOPs or more, which overflows",
                 "use fewer images or devices");
}

}  // namespace

void fine_tuning(Checks& checks, const Scenario& s) {
  tower_sizes(checks, s);
  const Training& t = s.training;
  const Model& m = s.model;
  const Parallel& p = t.parallel;
  const auto has = [](const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  const int stored = half_bytes(t.frozen_weights);
  constexpr std::string_view rank = "/training/adapter/rank", targets = "/training/adapter/targets";
  constexpr std::array<std::string_view, 7> matrices{"query", "key", "value", "output", "gate", "up", "down"};
  const bool freezes = t.adapter.rank > 0 || t.method == Method::dpo || t.method == Method::ppo ||
                       std::any_of(matrices.begin(), matrices.end(), [&](auto word) { return has(t.frozen, word); });
  checks.require(!freezes || t.frozen_weights == compute_dtype(t.precision) || stored <= half_bytes(Dtype::fp8),
                 {"/training/frozen_weights", "/training/precision"}, fmt::format("\"{}\"", name_of(t.frozen_weights)),
                 "is neither what the precision computes in nor narrower than 16 bits",
                 fmt::format("use {}, fp8 or fp4", name_of(compute_dtype(t.precision))));
  checks.require(stored > half_bytes(Dtype::fp8) || freezes, {"/training/frozen_weights", "/training/frozen", rank},
                 fmt::format("\"{}\"", name_of(t.frozen_weights)), "stores frozen matrices, and none is frozen",
                 "set training.adapter.rank, name matrices in training.frozen, or leave it out");
  checks.require(t.adapter.rank > 0 || t.adapter.targets == Adapter{}.targets, {targets, rank}, "",
                 "names matrices of adapters, which have rank 0",
                 "set training.adapter.rank, e.g. 16, or leave it out");
  if (t.adapter.rank > 0) {
    checks.require(!t.adapter.targets.empty(), {targets, rank}, "[]", "leaves nothing to train",
                   "name matrices, e.g. [\"query\", \"value\"]");
    checks.require(m.gated_mlp || !has(t.adapter.targets, "gate"), {targets, "/model/gated_mlp"}, "\"gate\"",
                   "cannot have an adapter: the MLP has no gate", "leave it out or set /model/gated_mlp");
    checks.require(t.frozen.empty(), {"/training/frozen", rank}, "", "says nothing: beside adapters all is frozen",
                   "leave it out");
    checks.require(t.adapter.rank <= std::min(m.hidden_size, m.mlp_size),
                   {rank, "/model/hidden_size", "/model/mlp_size"}, text(t.adapter.rank),
                   fmt::format("is not low: the matrices have rank {} at most", std::min(m.hidden_size, m.mlp_size)),
                   "use 8, 16 or 64");
  }
  if (m.input == ModelInput::image)
    checks.require(t.sequence == m.max_sequence, {"/training/sequence", "/model/max_sequence"}, text(t.sequence),
                   fmt::format("is not the {} positions of an image", m.max_sequence), "leave it out");
  // Heads over one position, and towers.
  const bool pooled = reads_one_position(m) || t.method == Method::reward;
  checks.require(!pooled || !p.sequence, {"/training/parallel/sequence", "/model/head"}, "true",
                 "leaves the position that the head reads on one rank, which is not modelled", "set it to false");
  checks.require((!pooled && m.causal) || p.context == 1,
                 {"/training/parallel/context", "/model/head", "/model/causal"}, text(p.context),
                 "is a ring over causal attention at every position", "use 1");
  if (t.method != Method::supervised) {
    const std::string method = fmt::format("\"{}\"", name_of(t.method));
    checks.require(m.head == Head::language && m.input == ModelInput::tokens, {"/training/method", "/model/head"},
                   method, "starts from a language model", "use supervised, or a model with a language head");
  }
  if (t.method == Method::ppo) {
    checks.require(t.prompt_tokens > 0 && t.prompt_tokens < t.sequence,
                   {"/training/prompt_tokens", "/training/sequence"}, text(t.prompt_tokens),
                   fmt::format("leaves nothing to write of {} tokens", t.sequence),
                   fmt::format("use 1 to {}", t.sequence - 1));
    checks.require(
        p.pipeline == 1 && p.context == 1 && p.zero < 3,
        {"/training/method", "/training/parallel/pipeline", "/training/parallel/context", "/training/parallel/zero"},
        "\"ppo\"", "writes answers, which is not modelled over stages, rings and sharded parameters",
        "use tensor and data parallelism with zero at most 2");
  } else {
    checks.require(t.prompt_tokens == 0, {"/training/prompt_tokens", "/training/method"}, text(t.prompt_tokens),
                   "has no meaning: only ppo writes answers", "leave it out");
  }
  if (m.head == Head::contrast) {
    checks.require(p.pipeline == 1, {"/training/parallel/pipeline", "/model/head"}, text(p.pipeline),
                   "stages would have to be shared by two towers, which is not modelled", "use 1");
    checks.require(
        m.text.heads % p.tensor == 0 && m.text.mlp_size % p.tensor == 0,
        {"/training/parallel/tensor", "/model/text/heads", "/model/text/mlp_size"}, text(p.tensor),
        fmt::format("does not divide the text tower's heads ({}) and mlp_size ({})", m.text.heads, m.text.mlp_size),
        "use " + divisors(m.text.heads));
    const std::int64_t model_parallel = p.tensor * p.context * p.pipeline;
    const std::int64_t at_once = t.micro_batch * (devices(s.cluster) / model_parallel);
    checks.require(t.global_batch <= at_once, {"/training/global_batch", "/training/micro_batch", "/cluster"},
                   text(t.global_batch),
                   fmt::format("needs several passes, but every image is compared with every text of the batch: {} fit "
                               "into one pass",
                               at_once),
                   fmt::format("raise micro_batch or use global_batch {}", at_once));
  }
}

}  // namespace dtcalc::checks
