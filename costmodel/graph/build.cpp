// Builds the forward operators of every segment from the discrete choices. Equations are those of the notes, Sec. 1 and
// 2, as corrected by the errata (E01, E21, E23 for the block; E64 for the parallel form).
#include <utility>

#include "costmodel/graph/graph.hpp"

namespace dtcalc {
namespace {

using S = Symbol;

constexpr Extent kRows{S::batch, S::query};             // positions of a micro-batch
constexpr Extent kFull{S::batch, S::query, S::hidden};  // (B, S, D)
constexpr Extent kScores{S::batch, S::heads, S::query, S::key};

class Builder {
 public:
  Builder(const Choices& choices, Segment& segment)
      : c_(choices), s_(segment), stream_rows_{S::batch, choices.sequence ? S::shard : S::query} {}

  TensorId tensor(Name name, Width width, const Extent& elements, const char* suffix = "") {
    Tensor t{};
    t.name = name;
    t.width = width;
    t.elements = elements;
    t.suffix = suffix;
    s_.tensors.push_back(t);
    return static_cast<TensorId>(s_.tensors.size() - 1);
  }

  TensorId parameter(Name name, const Extent& elements, const char* suffix, ParameterClass owner,
                     const Extent& columns = {}) {
    const TensorId id = tensor(name, Width::weight, elements, suffix);
    s_.tensors[id].columns = columns;
    s_.tensors[id].role = Role::parameter;
    s_.tensors[id].trained = c_.training && !((c_.frozen >> static_cast<int>(owner)) & 1);
    return id;
  }

  TensorId input(Name name, const char* suffix) {
    const TensorId id = tensor(name, Width::index, kRows, suffix);
    s_.tensors[id].input = true;
    return id;
  }

  Operator& append(OperatorKind kind, Name name, std::initializer_list<TensorId> inputs,
                   std::initializer_list<TensorId> outputs) {
    Operator op{};
    op.kind = kind;
    op.name = name;
    int i = 0;
    for (TensorId t : inputs) op.inputs[i++] = t;
    i = 0;
    for (TensorId t : outputs) op.outputs[i++] = t;
    op.flop.factor = 0;
    return s_.forward.emplace_back(op);
  }

  /// Under autocast a product reads 2-byte copies of fp32 tensors (E60, E83); otherwise `x` itself.
  TensorId cast(TensorId x) {
    const Tensor source = s_.tensors[x];
    if (!c_.autocast || source.width == Width::activation) return x;
    const TensorId y = tensor(source.name, Width::activation, source.elements, "cast");
    append(OperatorKind::cast, Name::cast, {x}, {y});
    return y;
  }

  TensorId product(Name name, TensorId x, TensorId weight, const Extent& n, const Extent& k) {
    x = cast(x);
    weight = cast(weight);
    const TensorId y = tensor(name, Width::activation, product_rows_ * n);
    Operator& op = append(OperatorKind::product, name, {x, weight}, {y});
    op.m = product_rows_;
    op.n = n;
    op.k = k;
    op.flop = product_rows_ * n * k * 2;
    return y;
  }

  TensorId bias(Name name, TensorId x, TensorId b) {
    const TensorId y = tensor(name, s_.tensors[x].width, s_.tensors[x].elements);
    append(OperatorKind::bias, name, {x, b}, {y});
    return y;
  }

  // --- layout -----------------------------------------------------------------------------------------------------
  /// The residual stream on this rank: (B, S, D), under sequence parallelism (B, S / T, D).
  Extent stream() const { return stream_rows_ * Extent{S::hidden}; }

  TensorId alias(TensorId of, Name name) {
    const Tensor source = s_.tensors[of];
    const TensorId y = tensor(name, source.width, source.elements);
    s_.tensors[y].alias_of = of;
    return y;
  }

  /// What the column-parallel products read (7.7). Entering the same tensor twice is entering it once.
  TensorId enter(Name name, TensorId x) {
    x = cast(x);
    if (!c_.tensor) return x;
    if (entered_.first == x) return entered_.second;
    const TensorId y = c_.sequence ? tensor(name, s_.tensors[x].width, kFull) : alias(x, name);
    s_.tensors[y].regathered = c_.sequence && !c_.save_full_inputs;
    append(OperatorKind::enter, name, {x}, {y});
    entered_ = {x, y};
    return y;
  }

  /// The sum over ranks of what a row-parallel product wrote (7.8).
  TensorId leave(Name name, TensorId partial) {
    if (!c_.tensor) return partial;
    const TensorId y = c_.sequence ? tensor(name, s_.tensors[partial].width, stream()) : alias(partial, name);
    append(OperatorKind::leave, name, {partial}, {y});
    return y;
  }

  TensorId in_place(OperatorKind kind, Name name, TensorId x, bool needed) {
    if (!needed) return x;
    const TensorId y = alias(x, name);
    append(kind, name, {x}, {y});
    return y;
  }

  // --- operators --------------------------------------------------------------------------------------------------
  /// y = x W^T + b, weight stored (n, k); columns of W^T, and with them b, may be sharded.
  TensorId linear(Name name, Name bias_name, TensorId x, const Extent& n, const Extent& k, bool has_bias,
                  ParameterClass owner) {
    TensorId y = product(name, x, parameter(name, n * k, "weight", owner, k), n, k);
    if (has_bias) y = bias(bias_name, y, parameter(name, n, "bias", owner));
    return y;
  }

  /// The same with the rows of W^T sharded: ranks hold partial sums, b is added to their sum.
  TensorId row_linear(Name name, Name bias_name, Name reduce_name, TensorId x, const Extent& k, bool has_bias,
                      ParameterClass owner) {
    const Extent n{S::hidden};
    TensorId y = leave(reduce_name, product(name, x, parameter(name, n * k, "weight", owner, k), n, k));
    if (has_bias) y = bias(bias_name, y, parameter(name, n, "bias", owner));
    return y;
  }

  TensorId dropout(Name name, TensorId x, std::uint8_t site) {
    const Tensor source = s_.tensors[x];
    const TensorId y = tensor(name, source.width, source.elements);
    const TensorId mask = c_.store_dropout_masks ? tensor(name, Width::mask, source.elements, "mask") : kNone;
    append(OperatorKind::dropout, name, {x}, {y, mask}).site = site;
    return y;
  }

  /// (1.1) over the hidden dimension (E01), or RMSNorm.
  TensorId norm(Name name, TensorId x, bool affine) {
    TensorId gamma = kNone, beta = kNone, statistics = kNone;
    if (affine) {
      gamma = parameter(name, {S::hidden}, "weight", ParameterClass::norm);
      if (c_.norm == Norm::layer_norm && c_.norm_bias)
        beta = parameter(name, {S::hidden}, "bias", ParameterClass::norm);
    }
    const TensorId y = tensor(name, Width::stream, stream());
    if (c_.training && c_.save_norm_statistics)
      statistics = tensor(name, Width::statistic, stream_rows_ * (c_.norm == Norm::layer_norm ? 2 : 1), "statistics");
    append(OperatorKind::norm, name, {x, gamma, beta}, {y, statistics});
    return y;
  }

  TensorId add(Name name, TensorId a, TensorId b) {
    const TensorId y = tensor(name, Width::stream, stream());
    append(OperatorKind::add, name, {a, b}, {y});
    return y;
  }

  TensorId queries_or_keys(TensorId x, bool keys) {
    const Symbol heads = keys ? S::kv_heads : S::heads;
    const Extent width{heads, S::head};
    TensorId y = keys ? linear(Name::attention_key, Name::attention_key_bias, x, width, {S::hidden}, c_.key_bias,
                               ParameterClass::key)
                      : linear(Name::attention_query, Name::attention_query_bias, x, width, {S::hidden}, c_.query_bias,
                               ParameterClass::query);
    if (c_.qk_norm != QkNorm::none) {
      const Name name = keys ? Name::attention_key_norm : Name::attention_query_norm;
      const Extent weight = c_.qk_norm == QkNorm::per_head ? Extent{S::head} : width;
      const TensorId gamma = parameter(name, weight, "weight", ParameterClass::norm);
      const TensorId out = tensor(name, Width::activation, kRows * width);
      const Extent groups = c_.qk_norm == QkNorm::per_head ? kRows * Extent{heads} : kRows;
      const TensorId statistics =
          c_.training && c_.save_norm_statistics ? tensor(name, Width::statistic, groups, "statistics") : kNone;
      append(OperatorKind::head_norm, name, {y, gamma}, {out, statistics});
      y = out;
    }
    if (c_.position == Position::rope) {
      const Name name = keys ? Name::attention_key_rope : Name::attention_query_rope;
      const TensorId out = tensor(name, Width::activation, kRows * width);
      append(OperatorKind::rope, name, {y}, {out});
      y = out;
    }
    return y;
  }

  /// Keeps new keys or values; what attention reads then is all that the cache holds. A prefill begins with an empty
  /// one.
  TensorId cached(TensorId x) {
    if (!c_.decode) {
      append(OperatorKind::cache, Name::attention_cache, {x}, {});
      return x;
    }
    const Symbol keys = s_.local ? S::local_key : S::key;
    const TensorId all = tensor(Name::attention_cache, Width::cache, {S::batch, keys, S::kv_heads, S::head}, "cache");
    s_.tensors[all].input = true;
    append(OperatorKind::cache, Name::attention_cache, {x}, {all});
    return all;
  }

  /// Causal attention (1.3)-(1.7) with the masks of E02; heads are the outer index of the concatenation (E50).
  TensorId attention(TensorId x) {
    x = enter(Name::attention_gather, x);
    const TensorId q = queries_or_keys(x, false);
    TensorId k = queries_or_keys(x, true);
    TensorId v = linear(Name::attention_value, Name::attention_value_bias, x, {S::kv_heads, S::head}, {S::hidden},
                        c_.value_bias, ParameterClass::value);
    k = in_place(OperatorKind::ring, Name::attention_ring, k, c_.context);
    v = in_place(OperatorKind::ring, Name::attention_ring, v, c_.context);
    if (c_.serving) k = cached(k), v = cached(v);
    const Symbol pairs = s_.local ? S::model_pairs_local : S::model_pairs_global;
    const Extent product_flop = Extent{S::batch, S::heads, pairs, S::head} * 2;
    const auto core_from = s_.tensors.size();
    const auto op_from = s_.forward.size();

    const TensorId scores = tensor(Name::attention_scores, Width::activation, kScores);
    Operator& qk = append(OperatorKind::scores, Name::attention_scores, {q, k}, {scores});
    qk.m = {S::query}, qk.n = {S::key}, qk.k = {S::head}, qk.batch = {S::batch, S::heads}, qk.flop = product_flop;

    const TensorId masked = tensor(Name::attention_mask, Width::activation, kScores);
    append(OperatorKind::mask, Name::attention_mask, {scores}, {masked});
    TensorId p = tensor(Name::attention_softmax, Width::probability, kScores);
    const bool flash = c_.attention == AttentionKernel::flash;
    const std::size_t softmax = s_.forward.size();
    append(OperatorKind::softmax, Name::attention_softmax, {masked}, {p});
    if (c_.attention_dropout) p = dropout(Name::attention_dropout, p, 1);
    p = cast(p);
    for (auto t = core_from; t < s_.tensors.size(); ++t) {
      s_.tensors[t].core = !flash;
      s_.tensors[t].kept_inside = flash;
    }
    if (flash && c_.training)
      s_.forward[softmax].outputs[1] =
          tensor(Name::attention_softmax, Width::statistic, {S::batch, S::heads, S::query}, "log_sum_exp");

    const TensorId context = tensor(Name::attention_context, Width::activation, kRows * Extent{S::heads, S::head});
    Operator& pv = append(OperatorKind::context, Name::attention_context, {p, v}, {context});
    pv.m = {S::query}, pv.n = {S::head}, pv.k = {S::key}, pv.batch = {S::batch, S::heads}, pv.flop = product_flop;
    for (auto i = op_from; i < s_.forward.size(); ++i) s_.forward[i].core = true;

    TensorId y = row_linear(Name::attention_output, Name::attention_output_bias, Name::attention_reduce, context,
                            {S::heads, S::head}, c_.output_bias, ParameterClass::output);
    if (c_.residual_dropout) y = dropout(Name::attention_output_dropout, y, 2);
    return c_.norm_placement == NormPlacement::sandwich ? norm(Name::attention_output_norm, y, true) : y;
  }

  /// (1.9), or with a gate (2.2).
  TensorId mlp(TensorId x) {
    const Extent width{S::mlp};
    x = enter(Name::mlp_gather, x);
    TensorId gate = kNone;
    if (c_.gated)
      gate = linear(Name::mlp_gate, Name::mlp_gate_bias, x, width, {S::hidden}, c_.mlp_bias, ParameterClass::gate);
    TensorId h = linear(Name::mlp_up, Name::mlp_up_bias, x, width, {S::hidden}, c_.mlp_bias, ParameterClass::up);
    const TensorId a = tensor(Name::mlp_activation, Width::activation, kRows * width);
    append(OperatorKind::activation, Name::mlp_activation, {c_.gated ? gate : h}, {a});
    if (c_.gated) {
      const TensorId product_out = tensor(Name::mlp_multiply, Width::activation, kRows * width);
      append(OperatorKind::multiply, Name::mlp_multiply, {a, h}, {product_out});
      h = product_out;
    } else {
      h = a;
    }
    TensorId y =
        row_linear(Name::mlp_down, Name::mlp_down_bias, Name::mlp_reduce, h, width, c_.mlp_bias, ParameterClass::down);
    if (c_.residual_dropout) y = dropout(Name::mlp_down_dropout, y, 3);
    return c_.norm_placement == NormPlacement::sandwich ? norm(Name::mlp_output_norm, y, true) : y;
  }

  void block() {
    s_.residual_in = tensor(Name::attention_residual, Width::stream, stream(), "input");
    TensorId r = s_.residual_in;
    if (c_.norm_placement == NormPlacement::post) {
      r = norm(Name::attention_norm, add(Name::attention_residual, r, attention(r)), true);
      s_.residual_out = norm(Name::mlp_norm, add(Name::mlp_residual, r, mlp(r)), true);
      return;
    }
    if (!s_.first) {
      s_.delta_in = tensor(Name::attention_residual, Width::activation, stream(), "delta");
      r = add(Name::attention_residual, r, s_.delta_in);
      s_.tensors[r].checkpoint = true;
    }
    const TensorId normed = norm(Name::attention_norm, r, c_.norm_affine);
    if (c_.block == BlockForm::parallel) {
      const TensorId second = c_.parallel_norms ? norm(Name::mlp_norm, r, c_.norm_affine) : normed;
      const TensorId a = attention(normed);
      s_.delta_out = add(Name::block_sum, a, mlp(second));
      s_.residual_out = r;
      return;
    }
    r = add(Name::mlp_residual, r, attention(normed));
    s_.delta_out = mlp(norm(Name::mlp_norm, r, c_.norm_affine));
    s_.residual_out = r;
  }

  void prologue() {
    const TensorId tokens = input(Name::embedding_token, "tokens");
    const TensorId table =
        parameter(Name::embedding_token, {S::vocabulary, S::hidden}, "weight", ParameterClass::embedding, {S::hidden});
    TensorId x = tensor(Name::embedding_token, Width::stream, kFull);
    append(OperatorKind::token_embedding, Name::embedding_token, {tokens, table}, {x});
    x = leave(Name::embedding_reduce, x);
    if (c_.position == Position::learned) {
      const TensorId positions = parameter(Name::embedding_position, {S::positions, S::hidden}, "weight",
                                           ParameterClass::position, {S::hidden});
      const TensorId y = tensor(Name::embedding_position, Width::stream, stream());
      append(OperatorKind::position_embedding, Name::embedding_position, {x, positions}, {y});
      x = y;
    }
    if (c_.embedding_dropout) x = dropout(Name::embedding_dropout, x, 0);
    s_.residual_out = x;
  }

  void epilogue() {
    s_.residual_in = tensor(Name::final_residual, Width::stream, stream(), "input");
    TensorId x = s_.residual_in;
    if (c_.norm_placement != NormPlacement::post) {
      s_.delta_in = tensor(Name::final_residual, Width::activation, stream(), "delta");
      x = add(Name::final_residual, x, s_.delta_in);
    }
    if (c_.final_norm) x = norm(Name::final_norm, x, c_.final_norm_affine);
    const TensorId weight = parameter(Name::head_product, {S::vocabulary, S::hidden}, "weight",
                                      c_.tied ? ParameterClass::embedding : ParameterClass::head, {S::hidden});
    s_.tensors[weight].tied = c_.tied;
    if (c_.serving) {
      const TensorId last = tensor(Name::head_select, s_.tensors[x].width, {S::batch, S::hidden});
      append(OperatorKind::select, Name::head_select, {x}, {last});
      x = last;
      product_rows_ = {S::batch};
    }
    TensorId logits = product(Name::head_product, enter(Name::head_gather, x), weight, {S::vocabulary}, {S::hidden});
    s_.tensors[logits].width = Width::logits;
    if (c_.head_bias)
      logits =
          bias(Name::head_bias, logits, parameter(Name::head_product, {S::vocabulary}, "bias", ParameterClass::head));
    if (c_.final_softcap) {
      const TensorId capped = tensor(Name::head_softcap, Width::logits, product_rows_ * Extent{S::vocabulary});
      append(OperatorKind::softcap, Name::head_softcap, {logits}, {capped});
      logits = capped;
    }
    if (c_.serving) return;
    // (1.12) with E22, split where a vocabulary-parallel layout needs a collective (E33).
    const TensorId targets = input(Name::loss_target, "targets");
    const TensorId max = tensor(Name::loss_max, Width::statistic, kRows);
    const TensorId sum = tensor(Name::loss_sum, Width::statistic, kRows);
    const TensorId loss = tensor(Name::loss_target, Width::statistic, kRows, "loss");
    append(OperatorKind::loss_max, Name::loss_max, {logits}, {max});
    const TensorId all_max = in_place(OperatorKind::reduce, Name::loss_reduce, max, c_.tensor);
    append(OperatorKind::loss_sum, Name::loss_sum, {logits, all_max}, {sum});
    const TensorId all_sum = in_place(OperatorKind::reduce, Name::loss_reduce, sum, c_.tensor);
    append(OperatorKind::loss_target, Name::loss_target, {logits, targets, all_max, all_sum}, {loss});
    in_place(OperatorKind::reduce, Name::loss_reduce, loss, c_.tensor);  // the target's logit lies on one rank
  }

 private:
  const Choices& c_;
  Segment& s_;
  Extent stream_rows_;
  Extent product_rows_ = kRows;  ///< m of the products; the last positions alone for the head in serving
  std::pair<TensorId, TensorId> entered_{kNone, kNone};  ///< the tensor that entered last, and what it became
};

bool any_trained(const Segment& segment) {
  for (const Tensor& t : segment.tensors)
    if (t.trained) return true;
  return false;
}

}  // namespace

Graph build_graph(const Choices& choices) {
  Graph graph;
  Builder(choices, graph.prologue).prologue();
  const auto add_block = [&](bool first, bool local) {
    Segment segment;
    segment.first = first;
    segment.local = local;
    Builder(choices, segment).block();
    graph.blocks.push_back(std::move(segment));
  };
  add_block(true, choices.first_is_local);
  if (!choices.one_layer) {
    if (choices.windowed) add_block(false, true);
    if (!choices.windowed || choices.mixed_windows) add_block(false, false);
  }
  Builder(choices, graph.epilogue).epilogue();
  if (!choices.training) return graph;

  const bool before_blocks = any_trained(graph.prologue);
  bool before_later = before_blocks;
  for (const Segment& block : graph.blocks) before_later = before_later || any_trained(block);
  differentiate(graph.prologue, false);
  for (Segment& block : graph.blocks) differentiate(block, block.first ? before_blocks : before_later);
  differentiate(graph.epilogue, before_later);
  return graph;
}

bool is_local(const Model& model, std::int64_t layer) {
  return model.sliding_window > 0 && (model.global_layer_every == 0 || (layer + 1) % model.global_layer_every != 0);
}

int kind_of_layer(const Model& model, std::int64_t layer) {
  if (layer == 0) return 0;
  return model.sliding_window > 0 && !is_local(model, layer) ? 2 : 1;
}

int block_kinds(const Model& model) {
  if (model.layers == 1) return 1;
  return model.sliding_window > 0 && model.global_layer_every > 0 ? 3 : 2;
}

Choices choices_of(const Scenario& scenario, Work work) {
  const bool training = work == Work::training;
  const Model& m = scenario.model;
  const Software& w = scenario.software;
  const Training& t = scenario.training;
  Choices c{};
  c.position = m.position;
  c.block = m.block;
  c.norm = m.norm;
  c.norm_placement = m.norm_placement;
  c.activation = m.activation;
  c.qk_norm = m.qk_norm;
  c.attention = scenario.attention == AttentionKernel::automatic ? w.attention : scenario.attention;
  c.recompute = training ? t.recompute : Recompute::none;
  c.optimizer = t.optimizer;
  c.norm_affine = m.norm_affine;
  c.final_norm_affine = m.final_norm_affine;
  c.norm_bias = m.norm_bias;
  c.parallel_norms = m.parallel_norms;
  c.final_norm = m.final_norm;
  c.query_bias = m.query_bias;
  c.key_bias = m.key_bias;
  c.value_bias = m.value_bias;
  c.output_bias = m.attention_output_bias;
  c.mlp_bias = m.mlp_bias;
  c.head_bias = m.head_bias;
  c.serving = is_serving(work);
  c.decode = work == Work::decode;
  c.tensor = training ? t.parallel.tensor > 1 : c.serving && scenario.inference.tensor > 1;
  c.sequence = training && t.parallel.sequence;
  c.save_full_inputs = training && t.parallel.save_full_inputs;
  c.context = training && t.parallel.context > 1;
  c.tied = m.tied_embeddings;
  c.gated = m.gated_mlp;
  c.attention_softcap = m.attention_softcap > 0;
  c.final_softcap = m.final_softcap > 0;
  c.residual_dropout = training && m.residual_dropout > 0;
  c.attention_dropout = training && m.attention_dropout > 0;
  c.embedding_dropout = training && m.embedding_dropout > 0;
  c.training = training;
  c.clip = t.gradient_clip > 0;
  c.autocast = training && (t.precision == Precision::bf16_autocast || t.precision == Precision::fp16_autocast);
  static constexpr const char* kFreezable[] = {"embedding", "position", "norm", "query", "key", "value",
                                               "output",    "gate",     "up",   "down",  "head"};
  for (const std::string& name : t.frozen)
    for (int i = 0; i < static_cast<int>(ParameterClass::count); ++i)
      if (name == kFreezable[i]) c.frozen = static_cast<std::uint16_t>(c.frozen | (1u << i));
  c.one_layer = m.layers == 1;
  c.windowed = m.sliding_window > 0;
  c.mixed_windows = block_kinds(m) == 3;
  c.first_is_local = is_local(m, 0);
  c.fuse_embedding = w.fuse_embedding;
  c.fuse_bias = w.fuse_bias;
  c.fuse_residual_norm = w.fuse_residual_norm;
  c.fuse_softmax = w.fuse_softmax;
  c.fuse_gated_activation = w.fuse_gated_activation;
  c.fuse_loss = w.fuse_loss;
  c.fuse_output_dropout = w.fuse_output_dropout;
  c.fuse_optimizer = w.fuse_optimizer;
  c.in_place = w.in_place;
  c.store_dropout_masks = w.store_dropout_masks;
  c.save_norm_statistics = w.save_norm_statistics;
  c.recompute_segment = w.recompute_segment;
  return c;
}

}  // namespace dtcalc
