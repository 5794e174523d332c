// libFuzzer: any text as a scenario document, and any text as an override, must give a scenario or errors. A scenario
// that loads must load again from what it writes, to the same.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "costmodel/data_dir.hpp"
#include "costmodel/evaluate/towers.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"

using namespace dtcalc;

namespace {

/// Whatever loads has figures: finite, not negative, parts within their whole.
void require_sane(const Totals& t) {
  for (const double value : {t.step.value(), t.compute.value(), t.exposed.value(), t.bubble.value(), t.host.value(),
                             t.optimizer.value(), t.mfu, t.hfu, t.model_flop.value(), t.hardware_flop.value()})
    if (!std::isfinite(value) || value < 0) std::abort();
  for (const Bytes bytes : {t.parameters_bytes, t.gradients_bytes, t.optimizer_bytes, t.activations_bytes,
                            t.logits_bytes, t.workspace_bytes})
    if (bytes < Bytes(0) || bytes > t.total) std::abort();
}

void require_sane(const Scenario& scenario, Work work, std::int64_t context) {
  const Structure structure = make_structure(choices_of(scenario, work));  // not cached: a fuzzer makes too many
  require_sane(evaluate(structure, sizes_of(scenario, work, context)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const Folders folders{data_dir(), "/nonexistent"};
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end_of_line = text.find('\n');
  std::vector<std::string> overrides;
  if (text.starts_with("--set ") && end_of_line != std::string_view::npos)
    overrides.emplace_back(text.substr(6, end_of_line - 6));
  const Result<nlohmann::json> document =
      parse_json(overrides.empty() ? text : text.substr(end_of_line + 1), "fuzz.json");
  const std::string parse_errors = describe(document.errors());
  if (!document) return 0;
  const Result<Scenario> scenario = load_scenario(*document, folders, overrides);
  if (!scenario) {
    if (scenario.errors().empty()) std::abort();
    return 0;
  }
  const nlohmann::json written = to_json(*scenario);
  const Result<Scenario> again = load_scenario(written, folders);
  if (!again || to_json(*again) != written) std::abort();
  if (scenario->has_training && has_towers(*scenario))
    require_sane(evaluate(*scenario, Work::training));
  else if (scenario->has_training)
    require_sane(*scenario, Work::training, 0);
  if (scenario->has_inference) {
    require_sane(*scenario, Work::prefill, 0);
    require_sane(*scenario, Work::decode, scenario->inference.prompt_tokens + 1);
  }
  return 0;
}
