// One key of a scenario as the panel edits it: present value, slider scale, and which values the library would take.
// Everything about a key comes from the field table of the library.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/scenario/fields.hpp"
#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

/// "micro batch" of "/training/micro_batch", "rope base" of "/model/rope/base".
std::string label_of(const FieldInfo& field);
/// "/training/micro_batch" as `--set` writes it: "training.micro_batch".
std::string path_of(std::string_view pointer);

/// Whether the document itself says this key, so that it can be reset.
bool is_set(const Document& document, std::string_view pointer);

/// The values a slider stops at: in proportion for sizes (2^k and 3 2^k), 1-2-5 for rates, even steps within a small
/// range; always with `present`. Ascending; empty for keys that are no numbers.
std::vector<double> slider_stops(const FieldInfo& field, double present);

/// The overrides `path=value` that give the key this value: the key's own, and those without which the library refuses
/// every such value. Chunks of stages go with the interleaved schedule alone, a draft model with an acceptance above 0.
std::vector<std::string> overrides_for(const Scenario& now, std::string_view pointer, const nlohmann::json& value);

/// Why the library refuses these overrides beside everything else in the document; empty when it takes them.
std::string refusal_of(const Document& document, std::span<const std::string> overrides);

}  // namespace dtcalc::gui
