#include "engine/fold.hpp"

#include <algorithm>

namespace dtcalc {
namespace {

const ParameterView* find(const std::vector<ParameterView>& list, Name op, std::string_view suffix,
                          std::int64_t layer) {
  for (const ParameterView& p : list)
    if (p.op == op && p.suffix == suffix && p.layer == layer) return &p;
  return nullptr;
}

/// The products that read a norm's output.
std::vector<Name> readers(const Model& m, Name norm) {
  const std::vector<Name> attention{Name::attention_query, Name::attention_key, Name::attention_value};
  std::vector<Name> mlp{Name::mlp_up};
  if (m.gated_mlp) mlp.push_back(Name::mlp_gate);
  if (norm == Name::final_norm) return {Name::head_product};
  if (norm == Name::mlp_norm) return mlp;
  std::vector<Name> names = attention;
  if (m.block == BlockForm::parallel && !m.parallel_norms) names.insert(names.end(), mlp.begin(), mlp.end());
  return names;
}

}  // namespace

template <class T>
void fold_weights(cpu::Executor<T>& from, cpu::Executor<T>& to) {
  const Model& model = from.scenario().model;
  for (const ParameterView& target : to.parameters()) {
    const ParameterView* source = find(from.parameters(), target.op, target.suffix, target.layer);
    if (source)
      std::copy_n(from.parameter(source->offset), target.elements, to.parameter(target.offset));
    else
      std::fill_n(to.parameter(target.offset), target.elements, T(0));
  }
  for (const ParameterView& gamma : from.parameters()) {
    const bool norm = gamma.op == Name::attention_norm || gamma.op == Name::mlp_norm || gamma.op == Name::final_norm;
    if (!norm || gamma.suffix != "weight" || find(to.parameters(), gamma.op, "weight", gamma.layer)) continue;
    const ParameterView* beta = find(from.parameters(), gamma.op, "bias", gamma.layer);
    const T* g = from.parameter(gamma.offset);
    const T offset = model.norm_weight_offset ? T(1) : T(0);
    for (Name reader : readers(model, gamma.op)) {
      const ParameterView& weight = *find(to.parameters(), reader, "weight", gamma.layer);
      const ParameterView* bias = find(to.parameters(), reader, "bias", gamma.layer);
      T* w = to.parameter(weight.offset);
      for (std::int64_t row = 0; row < weight.elements / weight.columns; ++row)
        for (std::int64_t d = 0; d < weight.columns; ++d) {
          T& element = w[row * weight.columns + d];
          if (beta) to.parameter(bias->offset)[row] += element * from.parameter(beta->offset)[d];
          element *= g[d] + offset;
        }
    }
  }
}

template void fold_weights<float>(cpu::Executor<float>&, cpu::Executor<float>&);
template void fold_weights<double>(cpu::Executor<double>&, cpu::Executor<double>&);

}  // namespace dtcalc
