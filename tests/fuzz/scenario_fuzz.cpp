// libFuzzer: any text as a scenario document, and any text as an override, must give a scenario or errors. A scenario
// that loads must load again from what it writes, to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"

using namespace dtcalc;

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
  return 0;
}
