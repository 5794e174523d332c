// The parts of an estimate about serving beyond plain decoding, as JSON and text: limits of a replica, beam search,
// speculative decoding. Called by estimate_json.cpp and estimate_text.cpp.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "costmodel/report/estimate.hpp"

namespace dtcalc::report {

/// Adds `limits`, `beam_search` and `speculative`, as far as the estimate has them.
void put_generation(nlohmann::ordered_json& inference, const Estimate& estimate);

/// Lines below the estimate's section on serving.
std::string limits_text(const Estimate& estimate);
/// Sections of their own, each with a heading in `bold` when there is colour.
std::string generation_text(const Estimate& estimate, const TextOptions& options);

}  // namespace dtcalc::report
