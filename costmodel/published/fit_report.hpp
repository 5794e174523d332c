// A fit as text, JSON and CSV. Called by `dtcalc validate --published --fit` and the page on accuracy.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "costmodel/published/fit.hpp"

namespace dtcalc::published {

/// Per stack the constants, then a line per family: rows, error without them, with them, and leave-one-out.
std::string to_text(std::span<const Fit> fits, bool colour);
nlohmann::ordered_json to_json(std::span<const Fit> fits);
/// A line per row.
std::string to_csv(std::span<const Fit> fits);

/// Markdown: a line per stack and family.
std::string markdown(std::span<const Fit> fits);

}  // namespace dtcalc::published
