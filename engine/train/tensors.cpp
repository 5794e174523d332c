#include "engine/train/tensors.hpp"

#include <array>
#include <string_view>
#include <type_traits>

namespace dtcalc {
namespace {

template <class T>
safetensors::TensorTarget tensor(std::string name, const ParameterView& parameter, T* data) {
  const auto type = std::is_same_v<T, double> ? safetensors::Type::f64 : safetensors::Type::f32;
  std::vector<std::int64_t> shape{parameter.elements};
  if (parameter.columns > 0) shape = {parameter.elements / parameter.columns, parameter.columns};
  return {std::move(name), type, std::move(shape),
          std::as_writable_bytes(std::span(data, static_cast<std::size_t>(parameter.elements)))};
}

}  // namespace

template <class T>
std::vector<safetensors::TensorTarget> parameter_tensors(const std::vector<ParameterView>& parameters, T* values) {
  std::vector<safetensors::TensorTarget> tensors;
  for (const ParameterView& p : parameters) tensors.push_back(tensor(p.name, p, values + p.offset));
  return tensors;
}

template <class T>
std::vector<safetensors::TensorTarget> moment_tensors(const std::vector<ParameterView>& parameters, T* values,
                                                      int moments, std::int64_t stride) {
  constexpr std::array<std::string_view, 2> suffix{".first_moment", ".second_moment"};
  std::vector<safetensors::TensorTarget> tensors;
  for (const ParameterView& p : parameters)
    for (int m = 0; p.trained && m < moments; ++m)
      tensors.push_back(
          tensor(p.name + std::string(suffix[static_cast<std::size_t>(m)]), p, values + m * stride + p.offset));
  return tensors;
}

std::vector<safetensors::TensorView> views(const std::vector<safetensors::TensorTarget>& targets) {
  std::vector<safetensors::TensorView> result;
  for (const auto& t : targets) result.push_back({t.name, t.type, t.shape, t.data});
  return result;
}

using Targets = std::vector<safetensors::TensorTarget>;
using Views = std::vector<ParameterView>;
template Targets parameter_tensors<float>(const Views&, float*);
template Targets parameter_tensors<double>(const Views&, double*);
template Targets moment_tensors<float>(const Views&, float*, int, std::int64_t);
template Targets moment_tensors<double>(const Views&, double*, int, std::int64_t);

}  // namespace dtcalc
