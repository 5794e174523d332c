#include "cli/common.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/file_output.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "engine/io/output.hpp"
#include "engine/train/progress.hpp"

namespace dtcalc::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The sections a scenario cannot do without, in the words of the command line.
std::vector<Error> missing_sections(const json& document) {
  std::vector<Error> errors;
  if (!document.contains("model"))
    errors.push_back(
        {"--model", "", "is missing",
         "name a preset, a file or a Hugging Face config.json: --model gpt2-124m (dtcalc presets models)"});
  if (!document.contains("hardware"))
    errors.push_back({"--hardware", "", "is missing",
                      "name a preset or a profile: --hardware a100-80-sxm (dtcalc presets hardware)"});
  return errors;
}

/// A scenario file that cannot be read may be meant as a preset.
std::vector<Error> with_preset_hint(std::vector<Error> errors, const std::string& name) {
  for (const auto& [kind, option] :
       {std::pair(PresetKind::model, "--model"), std::pair(PresetKind::hardware, "--hardware")})
    for (const Preset& preset : list_presets(kind, data_dir()))
      if (preset.name == name) errors.front().way_out = fmt::format("did you mean {} {}?", option, name);
  return errors;
}

}  // namespace

std::string located(const std::string& name_or_path) {
  return is_path(name_or_path) ? fs::absolute(name_or_path).string() : name_or_path;
}

void add_output(CLI::App& verb, OutputOptions& options, bool has_csv) {
  CLI::Option* as_json = verb.add_flag("--json", options.json, "Print JSON (docs/json.md)");
  if (has_csv) verb.add_flag("--csv", options.csv, "Print CSV")->excludes(as_json);
  verb.add_option("-o,--output", options.file, "Write to this file instead of standard output")->type_name("FILE");
}

void add_common(CLI::App& verb, CommonOptions& options, bool has_csv) {
  verb.add_option("scenario", options.scenario, "Scenario file (docs/scenario.md); or --model and --hardware")
      ->type_name("SCENARIO");
  verb.add_option("-m,--model", options.model, "Preset, model file or Hugging Face config.json")
      ->type_name("NAME|FILE");
  verb.add_option("--hardware", options.hardware, "Preset or hardware profile")->type_name("NAME|FILE");
  verb.add_option("--software", options.software, "Preset or software profile")->type_name("NAME|FILE");
  verb.add_option("--cluster", options.cluster, "Preset or cluster profile")->type_name("NAME|FILE");
  verb.add_option("-s,--set", options.set,
                  "Change a value: training.micro_batch=4 (repeatable; dtcalc schema lists all)")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
  add_output(verb, options.output, has_csv);
}

Result<Document> document_of(const CommonOptions& options) {
  json document = json::object();
  Document result;
  if (!options.scenario.empty()) {
    Result<json> content = read_json_file(options.scenario);
    if (!content) return with_preset_hint(content.errors(), options.scenario);
    document = std::move(content).value();
    result.base = fs::path(options.scenario).parent_path().string();
  }
  if (document.is_object()) {
    if (!options.model.empty()) document["model"] = located(options.model);
    if (!options.hardware.empty()) document["hardware"] = located(options.hardware);
    if (!options.software.empty()) document["software"] = located(options.software);
    if (!options.cluster.empty()) document["cluster"] = located(options.cluster);
  }
  Result<json> edited = apply_overrides(std::move(document), options.set);
  if (!edited) return edited.errors();
  if (options.scenario.empty())
    if (std::vector<Error> missing = missing_sections(*edited); !missing.empty()) return missing;
  result.text = edited->dump(-1, ' ', false, json::error_handler_t::replace);
  return result;
}

Result<Scenario> load(const Document& document, const std::vector<std::string>& overrides) {
  const Result<json> content = parse_json(document.text, "scenario");
  if (!content) return content.errors();
  return load_scenario(*content, {data_dir(), document.base}, overrides);
}

Result<Scenario> load(const CommonOptions& options) {
  const Result<Document> document = document_of(options);
  if (!document) return document.errors();
  return load(*document, {});
}

int fail(const std::vector<Error>& errors) {
  const bool colour = inspect_terminal(STDERR_FILENO).colour;
  std::string text;
  bool only_files = true, memory = false, device = false;
  for (const Error& error : errors) {
    text += fmt::format("{} {}\n", colour ? "\x1b[31merror:\x1b[0m" : "error:", describe(error));
    only_files = only_files && error.kind == ErrorKind::file;
    memory = memory || error.kind == ErrorKind::memory;
    device = device || error.kind == ErrorKind::device;
  }
  (void)checked_write(STDERR_FILENO, text);  // where else could it be said
  return memory ? exit_memory : device ? exit_no_device : only_files ? exit_file : exit_input;
}

int fail(const Error& error) { return fail(std::vector<Error>{error}); }

int deliver(const OutputOptions& options, std::string_view text) {
  if (!options.file.empty()) {
    const std::vector<Error> errors = write_file(options.file, text);
    return errors.empty() ? static_cast<int>(exit_done) : fail(errors);
  }
  const Result<Delivery> written = checked_write(STDOUT_FILENO, text);
  return written ? static_cast<int>(exit_done) : fail(written.errors());
}

bool coloured(const OutputOptions& options) { return options.file.empty() && inspect_terminal(STDOUT_FILENO).colour; }

int text_columns(const OutputOptions& options) {
  if (!options.file.empty()) return 80;
  return std::clamp(inspect_terminal(STDOUT_FILENO).columns, 60, 100);
}

}  // namespace dtcalc::cli
