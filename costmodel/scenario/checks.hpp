// What the checks of combinations share. Internal to this folder: check*.cpp.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "costmodel/scenario/check.hpp"

namespace dtcalc::checks {

/// Collects the errors of combinations; a check whose fields could not be read is skipped.
class Checks {
 public:
  Checks(const Given& given, std::vector<Error>& errors) : given_(given), errors_(errors) {}

  /// `pointers` are the fields that the condition looks at; the first is the place of the error.
  void require(bool condition, std::initializer_list<std::string_view> pointers, const std::string& value,
               const std::string& reason, const std::string& way_out);

 private:
  bool faulty(std::string_view pointer) const;

  const Given& given_;
  std::vector<Error>& errors_;
};

template <class T>
std::string text(T value) {
  return fmt::format("{}", value);
}

/// Divisors of `n` for a way out, at most the largest six.
std::string divisors(std::int64_t n);

inline constexpr std::int64_t max_parameters = std::int64_t{1} << 58;  // times 18 bytes of state stays below 2^63
inline constexpr std::int64_t max_tensor_bytes = std::int64_t{1} << 62;

/// a * b, saturating at the largest integer.
std::int64_t times(std::int64_t a, std::int64_t b);

/// An upper bound of the parameters: gated MLP, all biases, four norms a block, untied head.
std::int64_t parameter_bound(const Model& model);

/// An upper bound of the bytes of all tensors that a pass makes, in 8-byte elements.
std::int64_t tensor_bytes_bound(const Model& model, std::int64_t batch, std::int64_t length);

/// Whether operators and tensors of a pass over `batch` sequences of `length` tokens can be counted in 64 bits.
void size(Checks& checks, const Model& model, std::string_view pointer, std::int64_t batch, std::int64_t length);

/// Whether `ways` devices can share every block's matrices.
void tensor(Checks& checks, const Scenario& scenario, std::string_view key, std::int64_t ways);

/// Image input, heads other than the language model's, a second tower.
void vision(Checks& checks, const Model& model);

/// Adapters, packed weights, methods of fine-tuning, and the layouts that models other than language models have.
void fine_tuning(Checks& checks, const Scenario& scenario);

/// The training and inference sections against model, hardware and cluster.
void training(Checks& checks, const Scenario& scenario);
void inference(Checks& checks, const Scenario& scenario);

}  // namespace dtcalc::checks
