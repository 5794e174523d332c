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
std::vector<safetensors::TensorTarget> parameter_tensors(cpu::Executor<T>& executor) {
  std::vector<safetensors::TensorTarget> tensors;
  for (const ParameterView& p : executor.parameters())
    tensors.push_back(tensor(p.name, p, executor.parameter(p.offset)));
  return tensors;
}

template <class T>
std::vector<safetensors::TensorTarget> moment_tensors(cpu::Executor<T>& executor) {
  constexpr std::array<std::string_view, 2> suffix{".first_moment", ".second_moment"};
  std::vector<safetensors::TensorTarget> tensors;
  for (const ParameterView& p : executor.parameters())
    for (int m = 0; p.trained && m < executor.moments(); ++m)
      tensors.push_back(
          tensor(p.name + std::string(suffix[static_cast<std::size_t>(m)]), p, executor.moment(m, p.offset)));
  return tensors;
}

std::vector<safetensors::TensorView> views(const std::vector<safetensors::TensorTarget>& targets) {
  std::vector<safetensors::TensorView> result;
  for (const auto& t : targets) result.push_back({t.name, t.type, t.shape, t.data});
  return result;
}

template std::vector<safetensors::TensorTarget> parameter_tensors(cpu::Executor<float>&);
template std::vector<safetensors::TensorTarget> parameter_tensors(cpu::Executor<double>&);
template std::vector<safetensors::TensorTarget> moment_tensors(cpu::Executor<float>&);
template std::vector<safetensors::TensorTarget> moment_tensors(cpu::Executor<double>&);

}  // namespace dtcalc
