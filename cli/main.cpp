// `dtcalc`: parse, call, print. Each verb is a file of this folder; what they share is in common.hpp.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <new>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/build_info.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "engine/io/output.hpp"

namespace dtcalc::cli {
namespace {

std::string version_text() {
  const BuildInfo build = build_info();
  return fmt::format("dtcalc {} ({}, {}, {})\n", build.version, build.commit, build.compiler, build.build_type);
}

/// The subcommand that the arguments reached: `run train` is two deep.
const CLI::App& reached(const CLI::App& program) {
  const CLI::App* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// "dtcalc run train"
std::string command_of(const CLI::App& app) {
  return app.get_parent() ? command_of(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

/// An argument that nothing takes: the verb or option that was probably meant.
Error unexpected(const CLI::App& app, const std::string& argument) {
  const std::string command = command_of(app);
  const bool is_option = argument.starts_with("-");
  const std::string word = argument.substr(0, argument.find('='));
  const std::vector<std::string> known = is_option ? options_of(app) : verbs_of(app);
  std::string way_out = fmt::format("see {} --help", command);
  if (is_option && std::find(known.begin(), known.end(), word) != known.end())
    return {word, "", "stands before the verb that takes it", fmt::format("write {} {} ...", command, word)};
  if (word == "help")
    way_out = fmt::format("did you mean {} --help?", command);
  else if (const std::string near = nearest(word, known); !near.empty())
    way_out = fmt::format("did you mean {}?", near);
  else if (!is_option && !known.empty())
    way_out = "choose " + listed(known);
  const char* kind = is_option       ? "is not an option of"
                     : known.empty() ? "is one argument too many for"
                                     : "is no verb of";
  return {word, "", fmt::format("{} {}", kind, command), way_out};
}

int usage_error(const CLI::App& program, const CLI::ParseError& problem) {
  const CLI::App& app = reached(program);
  const std::vector<std::string> extras = program.remaining(true);
  if (!extras.empty()) return fail(unexpected(app, extras.front()));
  if (!verbs_of(app).empty() && app.get_subcommands().empty())
    return fail(Error{command_of(app), "", "needs a verb", "choose " + listed(verbs_of(app))});
  return fail(Error{command_of(app), "", problem.what(), fmt::format("see {} --help", command_of(app))});
}

int run(int argc, char** argv) {
  ignore_broken_pipes();
  CLI::App program("Predict, run and compare decoder-only Transformers.", "dtcalc");
  int exit_code = exit_done;
  program.set_version_flag("--version", version_text(), "Print version and build");
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  for (const auto add :
       {add_estimate, add_explain, add_plan, add_simulate, add_compare, add_roofline, add_scaling, add_batch, add_sweep,
        add_measure, add_run, add_validate, add_presets, add_schema, add_doctor, add_completion})
    add(program, exit_code);
  program.footer(
      "Exit codes: 0 done, 1 condition fails, 2 usage or invalid scenario, 3 file, 4 no such device,\n"
      "5 device out of memory, 70 internal error, 130 interrupted.");
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return deliver({}, program.help());
  } catch (const CLI::CallForVersion&) {
    return deliver({}, version_text());
  } catch (const CLI::ParseError& problem) {
    return usage_error(program, problem);
  }
  return exit_code;
}

int internal_error(const char* what) {
  fail(Error{"dtcalc", "", fmt::format("stopped by a defect of its own ({})", what), "please report the command"});
  return exit_internal;
}

}  // namespace
}  // namespace dtcalc::cli

int main(int argc, char** argv) {
  try {
    return dtcalc::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    dtcalc::cli::fail(dtcalc::Error{"dtcalc", "", "needs more memory than this process gets", "ask for less at once"});
    return dtcalc::cli::exit_memory;
  } catch (const std::exception& problem) {
    return dtcalc::cli::internal_error(problem.what());
  }
}
