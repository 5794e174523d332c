// What `dtcalc validate --published` prints: text for people, JSON and CSV (docs/published.md), and the tables of
// docs/accuracy.md. Called by the command line and by the test that holds that page to the program.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "costmodel/published/compare.hpp"

namespace dtcalc::published {

/// Every family's rows, what was skipped and why, then a line per family and figure.
std::string to_text(std::span<const Comparison> comparisons, bool colour);

nlohmann::ordered_json to_json(std::span<const Comparison> comparisons);

/// A line per row and figure.
std::string to_csv(std::span<const Comparison> comparisons);

/// The errors alone, as recorded in presets/published/recorded/errors.json: family, figure, rows, error, bias.
std::string to_record(std::span<const Comparison> comparisons);

/// Markdown: errors beside goals; `suspects`: the parts of the time that the errors point to; `assumptions`: what the
/// sources leave out.
std::string markdown_errors(std::span<const Comparison> comparisons);
std::string markdown_suspects(std::span<const Comparison> comparisons);
std::string markdown_assumptions(std::span<const Comparison> comparisons);

}  // namespace dtcalc::published
