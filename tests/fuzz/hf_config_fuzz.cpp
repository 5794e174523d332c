// libFuzzer: any text as a Hugging Face configuration must give a model or errors, and a model must survive resolution
// and the checks.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "costmodel/scenario/check.hpp"
#include "costmodel/scenario/hf_config.hpp"
#include "costmodel/scenario/json_text.hpp"

using namespace dtcalc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const Result<nlohmann::json> document =
      parse_json(std::string_view(reinterpret_cast<const char*>(bytes), size), "config.json");
  if (!document) return 0;
  const Result<Model> read = model_from_hf_config(*document, "config.json");
  if (!read) {
    if (read.errors().empty()) std::abort();
    return 0;
  }
  Model model = *read;
  const Given nothing;
  resolve(model, nothing);
  std::vector<Error> errors;
  check(model, nothing, errors);
  return 0;
}
