// The figures that published tables print, in the units they print them in, and how each is read off an estimate.
// The loader of published families asks for the keys, the comparison for the predictions.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::published {

enum class Figure : std::uint8_t {
  step,               ///< s, one optimizer step
  tokens,             ///< tokens/s of all devices in training
  tokens_per_device,  ///< tokens/s
  flop_per_device,    ///< FLOP/s by the family's FLOP convention
  mfu,                ///< the same over the device's peak
  memory_allocated,   ///< bytes, the most that tensors take at once
  memory_reserved,    ///< bytes, what the stack's allocator holds
  memory_device,      ///< bytes, what the driver reports
  time_to_first,      ///< s, TTFT
  time_per_output,    ///< s, TPOT
  latency,            ///< s, a batch from prompt to last token
  output_tokens       ///< tokens/s of a static batch: batch x new_tokens / latency
};

/// `step_s`, `tokens_per_s`, …: the name of a figure with its SI unit.
std::string_view name_of(Figure figure);

/// A column of a table: which figure, and by what its cells are multiplied to be in SI units.
struct FigureColumn {
  std::string_view key;  ///< `step_ms`
  Figure figure;
  double scale;
};

/// The column with this key, or nothing.
std::optional<FigureColumn> figure_column(std::string_view key);
/// All keys, for error messages and the page on the format.
std::vector<std::string> figure_keys();

/// Whether more of it means slower or larger (times, bytes) rather than faster.
bool is_cost(Figure figure);

/// What the printed FLOP/s count. `none`: the family prints no FLOP/s and no MFU.
///   megatron             72 B S L D^2 (1 + S/6D + V/12LD): Korthikanti 2022, appendix A
///   megatron_recompute   96 B S L D^2 (1 + S/6D + V/16LD): Narayanan 2021, eq. (3), with the recomputed forward pass
///   model_flop           the products of forward and backward, attention by the scenario's `causal_flop`
enum class FlopConvention : std::uint8_t { none, megatron, megatron_recompute, model_flop };
std::optional<FlopConvention> flop_convention(std::string_view name);
std::string_view name_of(FlopConvention convention);

/// The prediction of `figure` in SI units, from the JSON contract of `estimate`; an Error says why there is none.
Result<double> predict(Figure figure, FlopConvention convention, const Scenario& scenario,
                       const nlohmann::ordered_json& estimate);

}  // namespace dtcalc::published
