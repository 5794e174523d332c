#include "costmodel/plan/family.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace dtcalc {
namespace {

std::int64_t to_multiple(double value, std::int64_t unit) {
  return std::max<std::int64_t>(1, std::llround(value / static_cast<double>(unit))) * unit;
}

std::int64_t key_heads(const Model& shape, std::int64_t heads) {
  if (shape.kv_heads == shape.heads) return heads;
  std::int64_t groups = std::min(shape.kv_heads, heads);
  while (heads % groups != 0) --groups;
  return groups;
}

Model with_heads(const Model& shape, std::int64_t heads) {
  const auto real = [](std::int64_t n) { return static_cast<double>(n); };
  Model m = shape;
  m.heads = heads;
  m.kv_heads = key_heads(shape, heads);
  m.hidden_size = to_multiple(real(heads) / real(shape.heads) * real(shape.hidden_size), 8);
  m.layers = to_multiple(real(m.hidden_size) / real(shape.hidden_size) * real(shape.layers), 4);
  m.mlp_size = to_multiple(real(m.hidden_size) / real(shape.hidden_size) * real(shape.mlp_size), 128);
  return m;
}

}  // namespace

std::vector<Model> model_family(const Model& shape) {
  static constexpr std::array heads{4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256};
  std::vector<Model> family{shape};
  for (const std::int64_t n : heads) {
    Model m = with_heads(shape, n);
    if (m.hidden_size != shape.hidden_size || m.layers != shape.layers || m.mlp_size != shape.mlp_size)
      family.push_back(std::move(m));
  }
  std::stable_sort(family.begin(), family.end(),
                   [](const Model& a, const Model& b) { return a.hidden_size < b.hidden_size; });
  return family;
}

std::vector<std::int64_t> batch_ladder(std::int64_t devices, std::int64_t sequence) {
  constexpr std::int64_t most_tokens = std::int64_t{1} << 24;
  std::int64_t odd = devices;
  while (odd % 2 == 0) odd /= 2;
  std::set<std::int64_t> batches;
  for (const std::int64_t first : {std::int64_t{1}, odd})
    for (std::int64_t batch = first; batch * sequence <= most_tokens; batch *= 2) batches.insert(batch);
  return {batches.begin(), batches.end()};
}

}  // namespace dtcalc
