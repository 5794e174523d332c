// Symbols of the exact closed forms; see symbols.hpp.
#include <algorithm>

#include "costmodel/evaluate/sizes.hpp"
#include "costmodel/report/symbols.hpp"

namespace dtcalc::report {
namespace {

/// Puts values under names.
class Put {
 public:
  Put(Symbols& all, std::string origin) : all_(all), origin_(std::move(origin)) {}
  void operator()(const char* name, const char* meaning, auto value) const {
    all_[name] = {name, meaning, static_cast<double>(value), origin_, {}};
  }

 private:
  Symbols& all_;
  std::string origin_;
};

std::int64_t norm_vectors(const Model& m) {
  const std::int64_t vectors = m.norm == Norm::layer_norm && m.norm_bias ? 2 : 1;
  const std::int64_t before = m.block == BlockForm::parallel ? (m.parallel_norms ? 2 : 1) : 2;
  if (m.norm_placement == NormPlacement::post) return vectors * before;
  return vectors * ((m.norm_affine ? before : 0) + (m.norm_placement == NormPlacement::sandwich ? 2 : 0));
}

void put_model(const Put& put, const Model& m) {
  const std::int64_t vectors = m.norm == Norm::layer_norm && m.norm_bias ? 2 : 1, gated = m.gated_mlp ? 1 : 0;
  const bool image = m.input == ModelInput::image, language = m.head == Head::language;
  put("gated", "1 when the MLP has a gate", gated);
  put("biases", "numbers of a block's biases",
      m.query_bias * m.heads * m.head_size + (m.key_bias + m.value_bias) * m.kv_heads * m.head_size +
          m.attention_output_bias * m.hidden_size + m.mlp_bias * ((1 + gated) * m.mlp_size + m.hidden_size));
  put("norm_vectors", "vectors of D in a block's norms", norm_vectors(m));
  put("qk_norm", "numbers of a block's query and key norms",
      m.qk_norm == QkNorm::none       ? 0
      : m.qk_norm == QkNorm::per_head ? vectors * 2 * m.head_size
                                      : vectors * (m.heads + m.kv_heads) * m.head_size);
  put("K", "rows of the position table", m.position == Position::learned ? position_rows(m) : 0);
  put("patch", "numbers of a patch", image ? m.image_channels * m.patch_size * m.patch_size : 0);
  put("patches", "patches of an image", patches(m));
  const std::int64_t in_embedding = m.class_token + (image && m.patch_bias);
  put("embedding_vectors", "class token and bias of the patches, vectors of D", in_embedding);
  put("end_vectors", "vectors of D outside of blocks and tables: norms, class token, bias of the patches",
      in_embedding + vectors * (m.embedding_norm + (m.final_norm && m.final_norm_affine)));
  const std::int64_t width = language                                          ? m.vocabulary_size
                             : m.head == Head::reward || m.head == Head::value ? 1
                                                                               : m.outputs;
  put("head_width", "outputs of the head", width);
  put("head_rows", "rows of the head's own matrix", language && m.tied_embeddings ? 0 : width);
  put("head_biases", "biases of the head", m.head_bias ? width : 0);
  put("temperature", "1 when the contrast has a learned temperature here", m.head == Head::contrast && image);
}

void put_adapters(const Put& put, const Scenario& s) {
  const Model& m = s.model;
  const Adapter& a = s.training.adapter;
  const auto has = [&](std::string_view matrix) -> std::int64_t {
    return a.rank > 0 && std::find(a.targets.begin(), a.targets.end(), matrix) != a.targets.end();
  };
  const std::int64_t q = has("query"), k = has("key"), v = has("value"), o = has("output");
  const std::int64_t gate = has("gate"), up = has("up"), down = has("down");
  const std::int64_t D = m.hidden_size, heads = m.heads * m.head_size, groups = m.kv_heads * m.head_size;
  put("r", "rank of the adapters", a.rank);
  put("a_q", "1 when queries have an adapter", q);
  put("a_k", "1 when keys have an adapter", k);
  put("a_v", "1 when values have an adapter", v);
  put("a_o", "1 when the attention's output has an adapter", o);
  put("a_gate", "1 when the gate has an adapter", gate);
  put("a_up", "1 when the MLP's first matrix has an adapter", up);
  put("a_down", "1 when the MLP's second matrix has an adapter", down);
  put("N_adapters", "numbers of all adapters",
      a.rank * m.layers *
          (q * (heads + D) + (k + v) * (groups + D) + o * (heads + D) + (gate + up + down) * (D + m.mlp_size)));
  const std::int64_t u = std::min<std::int64_t>(1, q + k + v);
  const std::int64_t w = m.block == BlockForm::parallel ? 0 : std::min<std::int64_t>(1, u + o);
  // Stages share the program of their first block, which then passes gradients on whether the model's first must or
  // not.
  put("f", "blocks before which nothing is trained", s.training.parallel.pipeline == 1);
  put("u", "1 when the first block's attention output lies behind an adapter", u);
  put("w", "1 when the first block's MLP lies behind an adapter", w);
  put("x", "1 when the first block's second MLP matrix does", std::min<std::int64_t>(1, w + gate + up));
}

/// Query-key pairs that count, a mean over local and global layers.
double counted_pairs(const EvaluatedTower& t) {
  const auto of = [&](Symbol symbol) {
    return static_cast<double>(t.sizes.whole_symbol[static_cast<std::size_t>(symbol)]);
  };
  const Model& m = t.tower.scenario.model;
  if (m.sliding_window == 0) return of(Symbol::model_pairs_global);
  const std::int64_t global = m.global_layer_every > 0 ? m.layers / m.global_layer_every : 0;
  const double share = static_cast<double>(global) / static_cast<double>(m.layers);
  return share * of(Symbol::model_pairs_global) + (1 - share) * of(Symbol::model_pairs_local);
}

void put_work(const Put& put, const EvaluatedTower& t) {
  const Scenario& s = t.tower.scenario;
  const auto whole = [&](Symbol symbol) { return t.sizes.whole_symbol[static_cast<std::size_t>(symbol)]; };
  put("qk_pairs", "query-key pairs of a head that count, a mean over the layers", counted_pairs(t));
  const bool one = reads_one_position(s.model) || is_serving(t.tower.work);
  put("head_positions", "positions that the head reads", one ? 1 : whole(Symbol::query));
  const bool contrasts = s.model.head == Head::contrast;
  put("outputs", "width of the compared vectors", contrasts ? s.model.outputs : 0);
  put("candidates", "vectors with which each is compared", contrasts ? whole(Symbol::candidates) : 0);
  const Inference& i = s.inference;
  put("S_prompt", "tokens of a prompt", i.prompt_tokens);
  put("S_new", "new tokens", i.new_tokens);
  put("S_context", "keys halfway through the new tokens", halfway_context(i));
  put("p_weights", "bytes of a stored weight in serving", half_bytes(i.weights) / 2.0);
  put("p_cache", "bytes of a cached number", half_bytes(i.cache) / 2.0);
  put("p_packed", "bytes of a packed number, without scales", half_bytes(s.training.frozen_weights) / 2.0);
  put("four_bits", "1 when packed numbers have 4 bits", half_bytes(s.training.frozen_weights) == 1);
}

void put_layout(const Put& put, const EvaluatedTower& t) {
  const Layout& l = t.sizes.layout;
  const Training& training = t.tower.scenario.training;
  const DeviceParameters n = device_parameters(t);
  put("N_device", "parameters on a device", n.all);
  put("N_trained_device", "trained parameters on a device", n.trained);
  put("N_packed", "packed parameters on a device", n.packed);
  put("N_small_device", "trained parameters in small tensors on a device", n.small);
  const std::int64_t ranks = l.replicas_of_states();
  put("N_d", "devices that hold the same parameters", ranks);
  put("Z_1", "devices that share optimizer states", l.zero >= 1 ? ranks : 1);
  put("Z_2", "devices that share gradients", l.zero >= 2 ? ranks : 1);
  put("Z_3", "devices that share parameters", l.zero >= 3 ? ranks : 1);
  const std::int64_t m = t.sizes.micro_batches;
  put("zero_passes", "reductions of the gradients in a step, an all-reduce counts twice",
      l.zero == 0  ? 2
      : l.zero < 3 ? 1
                   : m);
  put("zero_gathers", "gatherings of the weights in a step", l.zero == 0 ? 0 : l.zero < 3 ? 1 : 2 * m);
  put("R", "ranks of the context ring", l.context);
  const bool backward = t.totals.backward_flop.value() > 0;
  put("passes", "passes that communicate: forward, recomputed, backward",
      (backward ? 2 : 1) + (backward && training.recompute == Recompute::full));
  put("S_local", "positions of the residual stream on a device",
      t.sizes.symbol[static_cast<std::size_t>(Symbol::shard)]);
  put("p_stream", "bytes of a number of the residual stream",
      t.sizes.half_bytes[static_cast<std::size_t>(Width::stream)] / 2.0);
  const double busy = t.totals.step.value() - t.totals.bubble.value() - t.totals.optimizer.value() -
                      t.totals.traffic[static_cast<std::size_t>(Axis::data)].exposed.value();
  put("t_stage", "time of a micro-batch on the slowest stage, s", busy / static_cast<double>(m));
}

}  // namespace

Symbols symbols_of(const EvaluatedTower& t, Scope scope) {
  Symbols all = symbols_of(t.tower.scenario, t.totals, scope);
  put_model(Put(all, "scenario"), t.tower.scenario.model);
  put_adapters(Put(all, "scenario"), t.tower.scenario);
  put_work(Put(all, "derived"), t);
  put_layout(Put(all, "derived"), t);
  return all;
}

}  // namespace dtcalc::report
