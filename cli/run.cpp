// `dtcalc run`: a verb with two of its own, in run_train.cpp and run_generate.cpp.
#include "cli/run.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/verbs.hpp"
#include "engine/memory.hpp"

namespace dtcalc::cli {

int machine_threads() { return std::max(1, machine_description().threads); }

void add_run(CLI::App& program, int& exit_code) {
  CLI::App* verb = program.add_subcommand("run", "Train a model on this machine, or generate text with it");
  verb->require_subcommand(1);
  add_run_train(*verb, exit_code);
  add_run_generate(*verb, exit_code);
}

}  // namespace dtcalc::cli
