// `dtcalc run`.
#include <CLI/CLI.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"

namespace dtcalc::cli {

void add_run(CLI::App& program, int& exit_code) {
  CLI::App* verb = program.add_subcommand("run", "Train or generate on this machine (not built yet)");
  verb->callback([&exit_code] {
    fail(Error{"dtcalc run", "", "is not built yet", ""});
    exit_code = exit_internal;
  });
}

}  // namespace dtcalc::cli
