#include "costmodel/published/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "costmodel/formulas/flops.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::published {
namespace {

using nlohmann::ordered_json;

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0, kMiB = 1024.0 * 1024.0, kGB = 1e9;

constexpr std::array columns{FigureColumn{"step_s", Figure::step, 1},
                             FigureColumn{"step_ms", Figure::step, 1e-3},
                             FigureColumn{"tokens_per_s", Figure::tokens, 1},
                             FigureColumn{"tokens_per_s_per_device", Figure::tokens_per_device, 1},
                             FigureColumn{"tflop_per_s_per_device", Figure::flop_per_device, 1e12},
                             FigureColumn{"mfu_percent", Figure::mfu, 1e-2},
                             FigureColumn{"memory_allocated_gib", Figure::memory_allocated, kGiB},
                             FigureColumn{"memory_reserved_gib", Figure::memory_reserved, kGiB},
                             FigureColumn{"memory_reserved_gb", Figure::memory_reserved, kGB},
                             FigureColumn{"memory_device_gb", Figure::memory_device, kGB},
                             FigureColumn{"memory_device_mib", Figure::memory_device, kMiB},
                             FigureColumn{"ttft_ms", Figure::time_to_first, 1e-3},
                             FigureColumn{"tpot_ms", Figure::time_per_output, 1e-3},
                             FigureColumn{"latency_ms", Figure::latency, 1e-3},
                             FigureColumn{"latency_s", Figure::latency, 1},
                             FigureColumn{"output_tokens_per_s", Figure::output_tokens, 1}};

constexpr std::array conventions{std::pair(std::string_view("none"), FlopConvention::none),
                                 std::pair(std::string_view("megatron"), FlopConvention::megatron),
                                 std::pair(std::string_view("megatron_recompute"), FlopConvention::megatron_recompute),
                                 std::pair(std::string_view("model_flop"), FlopConvention::model_flop)};

/// A number of the contract, or the reason why this version does not give it.
Result<double> number(const ordered_json& estimate, const char* pointer) {
  const ordered_json::json_pointer at(pointer);
  if (estimate.contains(at) && estimate.at(at).is_number()) return estimate.at(at).get<double>();
  return Error{pointer, "", "is not modelled", ""};
}

double tokens_of_step(const Scenario& s) { return static_cast<double>(s.training.global_batch * s.training.sequence); }

/// FLOPs of a step by the convention. The logits are 6 B S D V in both of Megatron's formulas.
Result<double> flop_of_step(FlopConvention convention, const Scenario& s, const ordered_json& estimate) {
  const auto B = static_cast<double>(s.training.global_batch), S = static_cast<double>(s.training.sequence),
             D = static_cast<double>(s.model.hidden_size), L = static_cast<double>(s.model.layers),
             V = static_cast<double>(s.model.vocabulary_size);
  switch (convention) {
    case FlopConvention::megatron:
      return formulas::model_flops_gpt(B, S, D, L) + 6 * B * S * D * V;
    case FlopConvention::megatron_recompute:
      return formulas::model_flops_gpt(B, S, D, L) * 4 / 3 + 6 * B * S * D * V;
    case FlopConvention::model_flop:
      return number(estimate, "/flops/model_flop");
    case FlopConvention::none:
      break;
  }
  return Error{"/flop_convention", "", "is none, yet the table prints FLOP/s", "name what the FLOPs count"};
}

/// Prefill makes the first token, a decode step each further one.
Result<double> latency_of_batch(const Scenario& s, const ordered_json& estimate) {
  const Result<double> prefill = number(estimate, "/inference/prefill_s");
  const Result<double> decode = number(estimate, "/inference/decode_step_s");
  if (!prefill) return prefill;
  if (!decode) return decode;
  return *prefill + static_cast<double>(s.inference.new_tokens - 1) * *decode;
}

}  // namespace

std::string_view name_of(Figure figure) {
  static constexpr std::array<std::string_view, 12> names{"step_s",
                                                          "tokens_per_s",
                                                          "tokens_per_s_per_device",
                                                          "flop_per_s_per_device",
                                                          "mfu",
                                                          "memory_allocated_bytes",
                                                          "memory_reserved_bytes",
                                                          "memory_device_bytes",
                                                          "ttft_s",
                                                          "tpot_s",
                                                          "latency_s",
                                                          "output_tokens_per_s"};
  return names.at(static_cast<std::size_t>(figure));
}

std::optional<FigureColumn> figure_column(std::string_view key) {
  const auto* const found =
      std::find_if(columns.begin(), columns.end(), [&](const FigureColumn& column) { return column.key == key; });
  if (found == columns.end()) return std::nullopt;
  return *found;
}

std::vector<std::string> figure_keys() {
  std::vector<std::string> keys;
  for (const FigureColumn& column : columns) keys.emplace_back(column.key);
  return keys;
}

bool is_cost(Figure figure) {
  return figure != Figure::tokens && figure != Figure::tokens_per_device && figure != Figure::flop_per_device &&
         figure != Figure::mfu && figure != Figure::output_tokens;
}

std::optional<FlopConvention> flop_convention(std::string_view name) {
  for (const auto& [word, convention] : conventions)
    if (word == name) return convention;
  return std::nullopt;
}

std::string_view name_of(FlopConvention convention) {
  return conventions.at(static_cast<std::size_t>(convention)).first;
}

Result<double> predict(Figure figure, FlopConvention convention, const Scenario& scenario,
                       const ordered_json& estimate) {
  switch (figure) {
    case Figure::memory_allocated:
      return number(estimate, "/memory/total_bytes");
    case Figure::memory_reserved:
      return number(estimate, "/memory/reserved_bytes");
    case Figure::memory_device:
      return number(estimate, "/memory/device_bytes");
    case Figure::time_to_first:
      return number(estimate, "/inference/prefill_s");
    case Figure::time_per_output:
      return number(estimate, "/inference/served_token_s");
    case Figure::latency:
      return latency_of_batch(scenario, estimate);
    case Figure::output_tokens: {
      const Result<double> latency = latency_of_batch(scenario, estimate);
      if (!latency) return latency;
      return static_cast<double>(scenario.inference.batch * scenario.inference.new_tokens) / *latency;
    }
    case Figure::step:
    case Figure::tokens:
    case Figure::tokens_per_device:
    case Figure::flop_per_device:
    case Figure::mfu:
      break;
  }
  const Result<double> step = number(estimate, "/time/step_s");
  if (!step || figure == Figure::step) return step;
  if (figure == Figure::tokens) return tokens_of_step(scenario) / *step;
  if (figure == Figure::tokens_per_device)
    return tokens_of_step(scenario) / *step / static_cast<double>(devices(scenario.cluster));
  const Result<double> flop = flop_of_step(convention, scenario, estimate);
  if (!flop) return flop;
  const double rate = *flop / *step / static_cast<double>(devices(scenario.cluster));
  if (figure == Figure::flop_per_device) return rate;
  return rate / scenario.hardware.rate(compute_dtype(scenario.training.precision)).value();
}

}  // namespace dtcalc::published
