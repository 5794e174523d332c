#include "costmodel/report/symbols.hpp"

#include <fmt/format.h>

#include "costmodel/scenario/names.hpp"

namespace dtcalc::report {

Symbols symbols_of(const Scenario& s, const Totals& totals, Scope scope) {
  Symbols all;
  const auto put = [&](const char* name, const char* meaning, auto value, const std::string& origin,
                       const std::string& place = {}) {
    all[name] = {name, meaning, static_cast<double>(value), origin, place};
  };
  const Model& m = s.model;
  const Training& t = s.training;
  const std::string scenario = "scenario", derived = "derived", graph = "graph";
  if (scope == Scope::inference) {
    put("B", "sequences", s.inference.batch, scenario, "/inference/batch");
    put("S", "positions, prompt and answer", s.inference.prompt_tokens + s.inference.new_tokens, scenario,
        "/inference/prompt_tokens");
    put("p", "bytes of a stored element", half_bytes(s.inference.precision) / 2.0, derived, "/inference/precision");
  } else {
    const bool step = scope == Scope::step;
    put("B", step ? "sequences of a step" : "sequences of a micro-batch", step ? t.global_batch : t.micro_batch,
        scenario, step ? "/training/global_batch" : "/training/micro_batch");
    put("S", "positions of a sequence", t.sequence, scenario, "/training/sequence");
    const Dtype dtype = compute_dtype(t.precision);
    put("p", "bytes of a stored activation", half_bytes(dtype) / 2.0, derived, "/training/precision");
  }
  put("L", "layers", m.layers, scenario, "/model/layers");
  put("D", "hidden size", m.hidden_size, scenario, "/model/hidden_size");
  put("A", "heads", m.heads, scenario, "/model/heads");
  put("G", "key and value heads", m.kv_heads, scenario, "/model/kv_heads");
  put("g", "key and value heads per head, G/A", static_cast<double>(m.kv_heads) / static_cast<double>(m.heads), derived,
      "/model/kv_heads");
  put("H", "head size", m.head_size, scenario, "/model/head_size");
  put("E", "MLP size over hidden size, F/D", static_cast<double>(m.mlp_size) / static_cast<double>(m.hidden_size),
      derived, "/model/mlp_size");
  put("F", "MLP size", m.mlp_size, scenario, "/model/mlp_size");
  put("V", "vocabulary", m.input == ModelInput::tokens ? m.vocabulary_size : 0, scenario, "/model/vocabulary_size");
  put("base", "RoPE base", m.rope.base, scenario, "/model/rope/base");
  const Parallel& layout = t.parallel;
  put("T", "tensor-parallel workers", scope == Scope::inference ? s.inference.tensor : layout.tensor, scenario,
      scope == Scope::inference ? "/inference/tensor" : "/training/parallel/tensor");
  put("P", "pipeline stages", layout.pipeline, scenario, "/training/parallel/pipeline");
  put("v", "chunks per stage", layout.virtual_stages, scenario, "/training/parallel/virtual_stages");
  put("m", "micro-batches of a step", micro_batches(s), derived, "/training/global_batch");
  put("n_gpu", "devices", devices(s.cluster), scenario, "/cluster/nodes");
  put("causal", "1 when causal pairs are counted once", t.causal_flop == CausalFlop::half, scenario,
      "/training/causal_flop");
  put("N", "parameters", totals.parameters.value(), graph, "model.parameters");
  put("N_trained", "parameters that get gradients", totals.trained_parameters.value(), graph,
      "model.trained_parameters");
  put("N_non_embedding", "parameters outside of the embeddings",
      totals.parameters.value() - totals.embedding_parameters.value(), graph, "model.non_embedding_parameters");
  put("C", "model FLOPs of a step", totals.model_flop.value(), graph, "flops.model_flop");
  put("C_training", "model FLOPs of the whole training", totals.model_flop.value() * static_cast<double>(t.steps),
      graph, "/training/steps");
  put("C_hardware", "executed FLOPs of a step", totals.hardware_flop.value(), graph, "flops.hardware_flop");
  const StateWidths w = state_widths(t.precision, t.optimizer);
  put("p_model", "bytes of a weight", w.weight / 2.0, derived, "/training/precision");
  put("p_gradient", "bytes of an accumulated gradient", w.gradient / 2.0, derived, "/training/precision");
  put("p_master", "bytes of a master weight and of a moment", std::max(w.moment, w.master) / 2.0, derived,
      "/training/precision");
  put("p_moment", "bytes of a moment", w.moment / 2.0, derived, "/training/optimizer");
  put("p_gathered", "bytes of a weight on its way to other ranks", w.gathered / 2.0, derived, "/training/precision");
  const double wide = t.precision == Precision::fp64 ? 8 : 4;
  put("p_logits", "bytes of a logit", s.software.narrow_logits ? half_bytes(compute_dtype(t.precision)) / 2.0 : wide,
      derived, "/software/narrow_logits");
  put("s_states", "moments of the optimizer", w.moments, derived, "/training/optimizer");
  put("separate_master", "1 when there is a master copy", w.master > 0, derived, "/training/precision");
  const Dtype dtype = scope == Scope::inference ? s.inference.precision : compute_dtype(t.precision);
  const std::string device = fmt::format("{} of {}", name_of(s.hardware.origin), s.hardware.id);
  put("lambda_flops", "peak of matrix products, FLOP/s", s.hardware.rate(dtype).value(), device,
      fmt::format("/hardware/compute_flop_per_s/{}", name_of(dtype)));
  put("lambda_mem", "memory bandwidth, bytes/s", s.hardware.memory_bandwidth.value(), device,
      "/hardware/memory_bandwidth_bytes_per_s");
  if (s.hardware.link_bandwidth.value() > 0)
    put("lambda_comms", "link bandwidth one way, bytes/s", s.hardware.link_bandwidth.value(), device,
        "/hardware/link_bytes_per_s");
  if (totals.step.value() > 0) {
    put("t_iter", "time of a step, s", totals.step.value(), graph, "time.step_s");
    put("t_min", "model FLOPs at the peak rate, s", totals.mfu * totals.step.value(), derived);
    put("mfu", "model FLOPs utilization", totals.mfu, graph, "time.mfu");
  }
  put("pairs", "pairs of a step", t.global_batch, scenario, "/training/global_batch");
  put("sequences", "sequences of a step", t.global_batch, scenario, "/training/global_batch");
  put("steps", "steps of the training", t.steps, scenario, "/training/steps");
  put("tokens", "tokens of a step", totals.tokens.value(), derived, "/training/global_batch");
  put("M_device", "memory of a device, bytes", s.hardware.memory.value(), device, "/hardware/memory_bytes");
  put("N_tokens", "tokens of the whole training", totals.tokens.value() * t.steps, derived, "/training/steps");
  if (totals.parameters.value() > 0)
    put("tokens_per_param", "tokens of the whole training per parameter",
        static_cast<double>(totals.tokens.value() * t.steps) / static_cast<double>(totals.parameters.value()), derived);
  return all;
}

std::vector<std::string> differences(const Scenario& s, Topic topic) {
  const Model& m = s.model;
  const AttentionKernel attention = s.attention == AttentionKernel::automatic ? s.software.attention : s.attention;
  std::vector<std::string> why;
  const auto add = [&](bool differs, std::string reason) {
    if (differs) why.push_back(std::move(reason));
  };
  const bool blocks = topic == Topic::parameters || topic == Topic::activations || topic == Topic::flop ||
                      topic == Topic::executed_flop;
  if (blocks) {
    add(m.kv_heads != m.heads, fmt::format("{} key and value heads serve {} heads", m.kv_heads, m.heads));
    add(m.heads * m.head_size != m.hidden_size,
        fmt::format("heads x head size is {}, not D = {}", m.heads * m.head_size, m.hidden_size));
    add(m.gated_mlp, "the gated MLP has three matrices, the equation two");
  }
  if (topic == Topic::parameters) {
    add(true, "norms and biases are left out by the equation");
    add(m.position == Position::learned, "the position table (K D) is left out by the equation");
    add(!m.tied_embeddings, "the head has a matrix of its own");
  }
  if (topic == Topic::state || topic == Topic::activations || topic == Topic::logits || topic == Topic::time)
    add(devices(s.cluster) > 1, "the devices of the layout share what the equation counts whole");
  const bool recomputes = s.training.recompute != Recompute::none;
  const bool adapters = s.training.adapter.rank > 0, frozen = adapters || !s.training.frozen.empty();
  if (topic == Topic::parameters) add(adapters, "adapters have rank x (rows + columns) of every adapted matrix");
  if (topic == Topic::state)
    add(s.training.optimizer == Optimizer::adam8bit,
        "moments of 8 bits have a scale per block; small tensors stay wide");
  if (topic == Topic::state) add(frozen, "frozen parameters have no gradient and no moments");
  if (topic == Topic::activations) {
    add(attention == AttentionKernel::flash, "flash attention keeps nothing of S x S");
    add(recomputes, fmt::format("recompute {} drops tensors", name_of(s.training.recompute)));
    add(m.residual_dropout == 0 || m.attention_dropout == 0, "the model has not all the dropout of the equation");
    add(!s.software.store_dropout_masks, "the software regenerates dropout masks instead of storing them");
    add(s.software.save_norm_statistics, "norm statistics are kept too");
    add(s.software.fuse_residual_norm || s.software.fuse_softmax || s.software.fuse_bias,
        "fused kernels keep other tensors than the notes' list");
    add(true, "embedding, final norm, and what is alive at the peak beside the saved tensors are not in the equation");
  }
  if (topic == Topic::logits)
    add(true, "at the peak the logits are not alive, or another tensor of their size lies beside them");
  if (topic == Topic::flop || topic == Topic::executed_flop) {
    add(m.sliding_window > 0, "local layers attend to a window only");
    add(s.training.causal_flop == CausalFlop::half, "causal pairs are counted once, the equation has S x S");
    add(frozen, "frozen parameters need no weight gradients");
    add(adapters, "adapters are two products more");
  }
  if (topic == Topic::executed_flop) add(recomputes, "recomputation executes forward kernels again");
  if (topic == Topic::executed_flop)
    add(s.training.parallel.tensor > 1 && m.vocabulary_size % s.training.parallel.tensor != 0,
        "the vocabulary is padded to a multiple of the tensor-parallel workers");
  if (topic == Topic::executed_flop)
    add(attention == AttentionKernel::flash,
        "flash attention skips masked tiles, and computes the scores again in its backward pass");
  if (topic == Topic::communication) {
    add(true, "embedding, loss and scales send too, and the equation counts the middle of the model");
    add(recomputes, "recomputation repeats collectives");
  }
  if (topic == Topic::service) {
    add(true, "the equation is a bound or its leading term: norms, launches, latencies and small tensors add to it");
    add(m.sliding_window > 0, "local layers keep a window only");
    add(m.kv_heads != m.heads, fmt::format("{} key and value heads serve {} heads", m.kv_heads, m.heads));
  }
  if (topic == Topic::time)
    add(true, "no kernel runs at the peak all the time: memory-bound kernels, launches and the optimizer add to it");
  return why;
}

}  // namespace dtcalc::report
