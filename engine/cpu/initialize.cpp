#include "engine/cpu/initialize.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/cpu/philox.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::uint32_t kInitializationOp = 1u << 30;  // keeps weights and dropout masks in different Philox streams

/// Two normal numbers from two 32-bit words (Box, Muller).
std::pair<double, double> normals(std::uint32_t a, std::uint32_t b) {
  const double u = (a + 0.5) * 0x1p-32, angle = b * 0x1p-32 * 6.283185307179586;
  const double r = std::sqrt(-2 * std::log(u));
  return {r * std::cos(angle), r * std::sin(angle)};
}

}  // namespace

template <class T>
void initialize_parameters(ThreadPool& pool, const Model& model, std::uint64_t seed,
                           const std::vector<ParameterView>& parameters, T* values) {
  const double deviation = 0.5 / std::sqrt(static_cast<double>(model.hidden_size));
  const double residual = deviation / std::sqrt(2.0 * static_cast<double>(model.layers));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const ParameterView& p = parameters[i];
    T* out = values + p.offset;
    if (p.columns == 0) {  // vectors: norm weights one (or zero where one is added), biases zero
      const bool one = p.suffix == "weight" && !model.norm_weight_offset;
      std::fill_n(out, p.elements, one ? T(1) : T(0));
      continue;
    }
    const bool into_stream = p.op == Name::attention_output || p.op == Name::mlp_down;
    const double sigma = into_stream ? residual : deviation;
    const DropoutStream stream(DropoutKey{seed, 0, 0, static_cast<std::uint32_t>(i), kInitializationOp});
    pool.parallel_for((p.elements + 3) / 4, 1024, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t block = begin; block < end; ++block) {
        const auto index = static_cast<std::uint64_t>(block);
        const PhiloxBlock words =
            philox4x32_10({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                           stream.counter_high[0], stream.counter_high[1]},
                          stream.key);
        const auto [a, b] = normals(words[0], words[1]);
        const auto [c, d] = normals(words[2], words[3]);
        const double four[4] = {a, b, c, d};
        for (std::int64_t j = 0; j < std::min<std::int64_t>(4, p.elements - 4 * block); ++j)
          out[4 * block + j] = static_cast<T>(sigma * four[j]);
      }
    });
  }
}

template void initialize_parameters<float>(ThreadPool&, const Model&, std::uint64_t, const std::vector<ParameterView>&,
                                           float*);
template void initialize_parameters<double>(ThreadPool&, const Model&, std::uint64_t, const std::vector<ParameterView>&,
                                            double*);

}  // namespace dtcalc::cpu
