// `dtcalc validate`.
#include <CLI/CLI.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"

namespace dtcalc::cli {

void add_validate(CLI::App& program, int& exit_code) {
  CLI::App* verb = program.add_subcommand("validate", "Predict, run and compare (not built yet)");
  verb->callback([&exit_code] {
    fail(Error{"dtcalc validate", "", "is not built yet", ""});
    exit_code = exit_internal;
  });
}

}  // namespace dtcalc::cli
