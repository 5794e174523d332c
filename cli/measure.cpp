// `dtcalc measure`.
#include <CLI/CLI.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"

namespace dtcalc::cli {

void add_measure(CLI::App& program, int& exit_code) {
  CLI::App* verb = program.add_subcommand("measure", "Measure this machine: a hardware profile (not built yet)");
  verb->callback([&exit_code] {
    fail(Error{"dtcalc measure", "", "is not built yet", ""});
    exit_code = exit_internal;
  });
}

}  // namespace dtcalc::cli
