#include "costmodel/graph/builder.hpp"

namespace dtcalc {

using S = Symbol;

Builder::Builder(const Choices& choices, Segment& segment)
    : c_(choices), s_(segment), stream_rows_{S::batch, choices.sequence ? S::shard : S::query} {}

TensorId Builder::tensor(Name name, Width width, const Extent& elements, const char* suffix) {
  Tensor t{};
  t.name = name;
  t.width = width;
  t.elements = elements;
  t.suffix = suffix;
  s_.tensors.push_back(t);
  return static_cast<TensorId>(s_.tensors.size() - 1);
}

TensorId Builder::parameter(Name name, const Extent& elements, const char* suffix, ParameterClass owner,
                            const Extent& columns) {
  const TensorId id = tensor(name, Width::weight, elements, suffix);
  s_.tensors[id].columns = columns;
  s_.tensors[id].role = Role::parameter;
  s_.tensors[id].trained = !((c_.frozen >> static_cast<int>(owner)) & 1);
  return id;
}

TensorId Builder::input(Name name, Width width, const Extent& elements, const char* suffix) {
  const TensorId id = tensor(name, width, elements, suffix);
  s_.tensors[id].input = true;
  return id;
}

Operator& Builder::append(OperatorKind kind, Name name, std::initializer_list<TensorId> inputs,
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

TensorId Builder::cast(TensorId x) {
  const Tensor source = s_.tensors[x];
  if (!c_.autocast || source.width == Width::activation) return x;
  const TensorId y = tensor(source.name, Width::activation, source.elements, "cast");
  append(OperatorKind::cast, Name::cast, {x}, {y});
  return y;
}

TensorId Builder::product(Name name, TensorId x, TensorId weight, const Extent& n, const Extent& k) {
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

TensorId Builder::bias(Name name, TensorId x, TensorId b) {
  const TensorId y = tensor(name, s_.tensors[x].width, s_.tensors[x].elements);
  append(OperatorKind::bias, name, {x, b}, {y});
  return y;
}

TensorId Builder::alias(TensorId of, Name name) {
  const Tensor source = s_.tensors[of];
  const TensorId y = tensor(name, source.width, source.elements);
  s_.tensors[y].alias_of = of;
  return y;
}

TensorId Builder::enter(Name name, TensorId x) {
  x = cast(x);
  if (!c_.tensor) return x;
  if (entered_.first == x) return entered_.second;
  const TensorId y = c_.sequence ? tensor(name, s_.tensors[x].width, kFull) : alias(x, name);
  s_.tensors[y].regathered = c_.sequence && !c_.save_full_inputs;
  append(OperatorKind::enter, name, {x}, {y});
  entered_ = {x, y};
  return y;
}

TensorId Builder::leave(Name name, TensorId partial) {
  if (!c_.tensor) return partial;
  const TensorId y = c_.sequence ? tensor(name, s_.tensors[partial].width, stream()) : alias(partial, name);
  append(OperatorKind::leave, name, {partial}, {y});
  return y;
}

TensorId Builder::in_place(OperatorKind kind, Name name, TensorId x, bool needed) {
  if (!needed) return x;
  const TensorId y = alias(x, name);
  append(kind, name, {x}, {y});
  return y;
}

TensorId Builder::linear(Name name, Name bias_name, TensorId x, const Extent& n, const Extent& k, bool has_bias,
                         ParameterClass owner) {
  TensorId y = product(name, x, matrix(name, n, k, owner), n, k);
  if (has_bias) y = bias(bias_name, y, parameter(name, n, "bias", owner));
  return adapted(y, x, n, k, owner);
}

TensorId Builder::row_linear(Name name, Name bias_name, Name reduce_name, TensorId x, const Extent& k, bool has_bias,
                             ParameterClass owner) {
  const Extent n{S::hidden};
  TensorId y = product(name, x, matrix(name, n, k, owner), n, k);
  if (c_.tensor) y = leave(reduce_name, adapted(y, x, n, k, owner));  // one sum over ranks for both
  if (has_bias) y = bias(bias_name, y, parameter(name, n, "bias", owner));
  return c_.tensor ? y : adapted(y, x, n, k, owner);
}

TensorId Builder::matrix(Name name, const Extent& n, const Extent& k, ParameterClass owner) {
  const TensorId weight = parameter(name, n * k, "weight", owner, k);
  if (!c_.packed || s_.tensors[weight].trained) return weight;
  s_.tensors[weight].width = Width::packed;
  const TensorId y = tensor(name, Width::activation, n * k, "unpacked");
  append(OperatorKind::unpack, name, {weight}, {y});
  return y;
}

namespace {

Name adapter_name(ParameterClass owner) {
  switch (owner) {
    case ParameterClass::query:
      return Name::attention_query_adapter;
    case ParameterClass::key:
      return Name::attention_key_adapter;
    case ParameterClass::value:
      return Name::attention_value_adapter;
    case ParameterClass::output:
      return Name::attention_output_adapter;
    case ParameterClass::gate:
      return Name::mlp_gate_adapter;
    case ParameterClass::up:
      return Name::mlp_up_adapter;
    default:
      return Name::mlp_down_adapter;
  }
}

}  // namespace

TensorId Builder::adapted(TensorId base, TensorId x, const Extent& n, const Extent& k, ParameterClass owner) {
  if (!((c_.adapted >> static_cast<int>(owner)) & 1)) return base;
  const Name name = adapter_name(owner);
  const Extent r{S::rank};
  const TensorId low = product(name, x, parameter(name, r * k, "a", ParameterClass::adapter, k), r, k);
  const TensorId high = product(name, low, parameter(name, n * r, "b", ParameterClass::adapter, r), n, r);
  const TensorId y = tensor(name, Width::activation, product_rows_ * n);
  append(OperatorKind::add, name, {base, high}, {y});
  return y;
}

TensorId Builder::dropout(Name name, TensorId x, std::uint8_t site) {
  const Tensor source = s_.tensors[x];
  const TensorId y = tensor(name, source.width, source.elements);
  const TensorId mask = c_.store_dropout_masks ? tensor(name, Width::mask, source.elements, "mask") : kNone;
  append(OperatorKind::dropout, name, {x}, {y, mask}).site = site;
  return y;
}

TensorId Builder::norm(Name name, TensorId x, bool affine) {
  TensorId gamma = kNone, beta = kNone, statistics = kNone;
  if (affine) {
    gamma = parameter(name, {S::hidden}, "weight", ParameterClass::norm);
    if (c_.norm == Norm::layer_norm && c_.norm_bias) beta = parameter(name, {S::hidden}, "bias", ParameterClass::norm);
  }
  const TensorId y = tensor(name, Width::stream, stream());
  if (c_.training && c_.save_norm_statistics)
    statistics = tensor(name, Width::statistic, stream_rows_ * (c_.norm == Norm::layer_norm ? 2 : 1), "statistics");
  append(OperatorKind::norm, name, {x, gamma, beta}, {y, statistics});
  return y;
}

TensorId Builder::add(Name name, TensorId a, TensorId b) {
  const TensorId y = tensor(name, Width::stream, stream());
  append(OperatorKind::add, name, {a, b}, {y});
  return y;
}

}  // namespace dtcalc
