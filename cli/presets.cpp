// `dtcalc presets`: what can be named.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/presets.hpp"

namespace dtcalc::cli {
namespace {

using nlohmann::ordered_json;

struct Kind {
  const char* word;
  PresetKind kind;
};
constexpr std::array kinds{Kind{"models", PresetKind::model}, Kind{"hardware", PresetKind::hardware},
                           Kind{"software", PresetKind::software}, Kind{"clusters", PresetKind::cluster},
                           Kind{"published", PresetKind::published}};

struct Options {
  std::string kind, name;
  bool names = false;
  OutputOptions output;
};

int show(PresetKind kind, const std::string& name, const OutputOptions& output) {
  const auto file = find_preset(kind, name, {data_dir(), {}}, "presets");
  if (!file) return fail(file.errors());
  const auto content = read_json_file(*file);
  if (!content) return fail(content.errors());
  return deliver(output, content->dump(2) + "\n");
}

int run(const Options& options) {
  const Kind* only = nullptr;
  for (const Kind& kind : kinds)
    if (options.kind == kind.word || options.kind == name_of(kind.kind)) only = &kind;
  if (!only && options.name.empty())  // a preset's name alone
    for (const Kind& kind : kinds)
      for (const Preset& preset : list_presets(kind.kind, data_dir()))
        if (preset.name == options.kind) return show(kind.kind, options.kind, options.output);
  if (!options.kind.empty() && !only)
    return fail(Error{"dtcalc presets", options.kind, "is no kind of preset",
                      "choose models, hardware, software, clusters or published"});
  if (!options.name.empty()) return show(only->kind, options.name, options.output);

  ordered_json rows = ordered_json::array();
  report::Table flat{{{"kind"}, {"name"}, {"summary"}}, {}};
  std::string text, names;
  for (const Kind& kind : kinds) {
    if (only && only != &kind) continue;
    report::Table table{{{""}, {""}}, {}};
    for (const Preset& preset : list_presets(kind.kind, data_dir())) {
      rows.push_back(
          {{"kind", kind.word}, {"name", preset.name}, {"summary", preset.summary}, {"file", preset.file.string()}});
      flat.rows.push_back({kind.word, preset.name, preset.summary});
      table.rows.push_back({preset.name, preset.summary});
      names += preset.name + "\n";
    }
    text += fmt::format("{}{}\n{}", text.empty() ? "" : "\n", kind.word, report::text(table, 2));
  }
  if (options.output.json) return deliver(options.output, rows.dump(2) + "\n");
  if (options.output.csv) return deliver(options.output, report::csv(flat));
  return deliver(options.output, options.names ? names : text);
}

}  // namespace

void add_presets(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand(
      "presets", "List models, devices, software profiles, clusters and published tables, or print one");
  verb->add_option("kind", options->kind, "models, hardware, software, clusters or published")->type_name("KIND");
  verb->add_option("name", options->name, "Print this one's file")->type_name("NAME");
  verb->add_flag("--names", options->names, "Only the names, one a line");
  add_output(*verb, options->output);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
