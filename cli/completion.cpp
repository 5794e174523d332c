// `dtcalc completion`: scripts for shells, made from the verbs and options themselves.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/common.hpp"
#include "cli/verbs.hpp"

namespace dtcalc::cli {
namespace {

/// One command and what may follow it.
struct Command {
  std::string path;                ///< "dtcalc run train"
  std::vector<std::string> words;  ///< verbs and long options
  const CLI::App* app;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Command>& commands) {
  Command command{path, {}, &app};
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* verb : verbs) command.words.push_back(verb->get_name());
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) command.words.push_back("--" + name);
  if (path.ends_with(" completion")) command.words.insert(command.words.end(), {"bash", "zsh", "fish"});
  if (path.ends_with(" presets"))
    command.words.insert(command.words.end(), {"models", "hardware", "software", "clusters", "published"});
  commands.push_back(std::move(command));
  for (const CLI::App* verb : verbs) collect(*verb, path + " " + verb->get_name(), commands);
}

/// `"dtcalc estimate" | "dtcalc run"`: the commands below the program.
std::string known_paths(const std::vector<Command>& commands) {
  std::string paths;
  for (std::size_t i = 1; i < commands.size(); ++i)
    paths += fmt::format("{}\"{}\"", i > 1 ? " | " : "", commands[i].path);
  return paths;
}

constexpr const char* bash_script = R"bash(# bash completion of dtcalc; load it with: source <(dtcalc completion bash)
_dtcalc() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path=dtcalc word words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
      {paths}) path="$path $word" ;;
    esac
  done
  case $prev in
    -m | --model) words=$(dtcalc presets models --names 2>/dev/null) ;;
    --hardware) words=$(dtcalc presets hardware --names 2>/dev/null) ;;
    --software) words=$(dtcalc presets software --names 2>/dev/null) ;;
    --cluster) words=$(dtcalc presets clusters --names 2>/dev/null) ;;
    *)
      case $path in
{cases}      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _dtcalc dtcalc
)bash";

constexpr const char* zsh_script = R"zsh(#compdef dtcalc
# zsh completion of dtcalc; load it with: source <(dtcalc completion zsh)
_dtcalc() {{
  local command=dtcalc word previous=${{words[CURRENT-1]}}
  local -a choices
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$command $word" in
      {paths}) command="$command $word" ;;
    esac
  done
  case $previous in
    -m | --model) choices=(${{(f)"$(dtcalc presets models --names 2>/dev/null)"}}) ;;
    --hardware) choices=(${{(f)"$(dtcalc presets hardware --names 2>/dev/null)"}}) ;;
    --software) choices=(${{(f)"$(dtcalc presets software --names 2>/dev/null)"}}) ;;
    --cluster) choices=(${{(f)"$(dtcalc presets clusters --names 2>/dev/null)"}}) ;;
    *)
      case $command in
{cases}      esac ;;
  esac
  compadd -- $choices
  _files
}}
compdef _dtcalc dtcalc
)zsh";

std::string shell_script(const std::vector<Command>& commands, bool bash) {
  std::string cases;
  for (const Command& c : commands)
    cases += bash ? fmt::format("        \"{}\") words=\"{}\" ;;\n", c.path, fmt::join(c.words, " "))
                  : fmt::format("        \"{}\") choices=({}) ;;\n", c.path, fmt::join(c.words, " "));
  return fmt::format(fmt::runtime(bash ? bash_script : zsh_script), fmt::arg("paths", known_paths(commands)),
                     fmt::arg("cases", cases));
}

/// Text in single quotes of fish.
std::string fish_quoted(std::string text) {
  std::string result = "'";
  for (const char c : text.substr(0, text.find('\n'))) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

std::string fish_script(const std::vector<Command>& commands) {
  std::string script = "# fish completion of dtcalc; load it with: dtcalc completion fish | source\n";
  for (const Command& c : commands) {
    const std::size_t last = c.path.rfind(' ');
    const std::string condition =
        last == std::string::npos ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + c.path.substr(last + 1);
    for (const CLI::App* verb : c.app->get_subcommands([](const CLI::App*) { return true; }))
      script += fmt::format("complete -c dtcalc -n '{}' -a {} -d {}\n", condition, verb->get_name(),
                            fish_quoted(verb->get_description()));
    for (const CLI::Option* option : c.app->get_options())
      for (const std::string& name : option->get_lnames()) {
        const bool preset = name == "model" || name == "hardware" || name == "software" || name == "cluster";
        const std::string kind = name == "model" || name == "cluster" ? name + "s" : name;
        script += fmt::format("complete -c dtcalc -n '{}' -l {}{} -d {}\n", condition, name,
                              preset ? fmt::format(" -r -a '(dtcalc presets {} --names)'", kind)
                              : option->get_items_expected_max() > 0 ? " -r"
                                                                     : "",
                              fish_quoted(option->get_description()));
      }
  }
  return script;
}

}  // namespace

void add_completion(CLI::App& program, int& exit_code) {
  CLI::App* verb = program.add_subcommand("completion", "Script that completes dtcalc's verbs and options in a shell");
  const auto shell = std::make_shared<std::string>();
  verb->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  verb->callback([&program, shell, &exit_code] {
    std::vector<Command> commands;
    collect(program, "dtcalc", commands);
    exit_code = deliver({}, *shell == "fish" ? fish_script(commands) : shell_script(commands, *shell == "bash"));
  });
}

}  // namespace dtcalc::cli
