// `dtcalc schema`: every key of a scenario, as JSON Schema or as text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  std::string path;
  OutputOptions output;
};

int run(const Options& options) {
  if (options.path.empty()) return deliver(options.output, scenario_schema().dump(2) + "\n");
  std::string pointer = options.path;
  if (!pointer.starts_with('/')) {
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    pointer.insert(0, "/");
  }
  const std::string text = help_text(pointer);
  if (!text.empty()) return deliver(options.output, text);
  std::vector<std::string> known;
  for (const Field& field : fields()) known.emplace_back(field.info.pointer);
  for (const std::string_view section : sections()) known.push_back(fmt::format("/{}", section));
  const std::string near = nearest(pointer, known);
  return fail(Error{"dtcalc schema", options.path, "is no key of a scenario",
                    near.empty() ? "dtcalc schema lists all" : "did you mean " + near + "?"});
}

}  // namespace

void add_schema(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("schema", "JSON Schema of a scenario, or what a key means");
  verb->add_option("path", options->path, "Explain the keys from here on: training, model.rope.base")
      ->type_name("PATH");
  verb->add_option("-o,--output", options->output.file, "Write to this file instead of standard output")
      ->type_name("FILE");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
