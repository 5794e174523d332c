#include "costmodel/scenario/checks.hpp"

#include <algorithm>
#include <cstdint>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::checks {

void Checks::require(bool condition, std::initializer_list<std::string_view> pointers, const std::string& value,
                     const std::string& reason, const std::string& way_out) {
  if (condition || std::any_of(pointers.begin(), pointers.end(), [&](auto pointer) { return faulty(pointer); })) return;
  errors_.push_back({std::string(*pointers.begin()), value, reason, way_out});
}

bool Checks::faulty(std::string_view pointer) const {
  return std::any_of(given_.faulty.begin(), given_.faulty.end(),
                     [&](const std::string& bad) { return pointer == bad || pointer.starts_with(bad + "/"); });
}

std::string divisors(std::int64_t n) {
  constexpr std::int64_t searched = 1 << 20;
  constexpr std::size_t enough = 6;
  std::vector<std::string> found;
  for (std::int64_t d = 1; d <= std::min(n, searched) && found.size() < enough; ++d)
    if (n % d == 0) found.push_back(text(d));
  return listed(found);
}

std::int64_t times(std::int64_t a, std::int64_t b) { return a != 0 && b > INT64_MAX / a ? INT64_MAX : a * b; }

template <class... Rest>
static std::int64_t times(std::int64_t a, std::int64_t b, Rest... rest) {
  return times(times(a, b), rest...);
}
static std::int64_t plus(std::int64_t a, std::int64_t b) { return b > INT64_MAX - a ? INT64_MAX : a + b; }
template <class... Rest>
static std::int64_t plus(std::int64_t a, std::int64_t b, Rest... rest) {
  return plus(plus(a, b), rest...);
}

namespace {

constexpr std::int64_t max_operator_flop = std::int64_t{1} << 62;

/// The largest FLOPs of one matrix product over `batch` sequences of `length` tokens.
std::int64_t operator_flop_bound(const Model& m, std::int64_t batch, std::int64_t length) {
  const std::int64_t width = std::max({times(m.heads, m.head_size), m.mlp_size, m.vocabulary_size});
  const std::int64_t linear = times(2, batch, length, m.hidden_size, width);
  const std::int64_t scores = times(times(2, batch, m.heads, m.head_size), length, length);
  return std::max(linear, scores);
}

}  // namespace

std::int64_t parameter_bound(const Model& m) {
  const std::int64_t attention_width = times(plus(m.heads, times(2, m.kv_heads)), m.head_size);
  const std::int64_t block = plus(times(m.hidden_size, plus(attention_width, times(m.heads, m.head_size))),
                                  times(3, m.hidden_size, m.mlp_size), times(2, attention_width),
                                  times(12, m.hidden_size), times(2, m.mlp_size));
  return plus(times(m.layers, block), times(2, plus(m.vocabulary_size, 2), m.hidden_size),
              times(std::max(m.max_sequence, m.position_rows), m.hidden_size));
}

std::int64_t tensor_bytes_bound(const Model& m, std::int64_t batch, std::int64_t length) {
  const std::int64_t tokens = times(batch, length);
  const std::int64_t per_token =
      plus(times(24, m.hidden_size), times(8, m.mlp_size), times(8, plus(m.heads, times(2, m.kv_heads)), m.head_size),
           times(4, m.heads, length));
  return times(8, tokens, plus(times(m.layers, per_token), times(4, m.vocabulary_size)));
}

void size(Checks& checks, const Model& model, std::string_view pointer, std::int64_t batch, std::int64_t length) {
  const std::string tokens = fmt::format("{} sequences of {} tokens", batch, length);
  const std::initializer_list<std::string_view> where{pointer, "/model"};
  if (operator_flop_bound(model, batch, length) >= max_operator_flop)
    checks.require(false, where, "", tokens + " give an operator of 2^62 FLOPs or more, which overflows",
                   "use fewer sequences, shorter ones or a smaller model");
  else
    checks.require(tensor_bytes_bound(model, batch, length) < max_tensor_bytes, where, "",
                   tokens + " give tensors of 2^62 bytes or more, which overflows",
                   "use fewer sequences, shorter ones or a smaller model");
}

}  // namespace dtcalc::checks
