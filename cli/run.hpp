// The two halves of `dtcalc run`: options on the subcommand, work when it is called. run.cpp adds them.
#pragma once

namespace CLI {
class App;
}

namespace dtcalc::cli {

void add_run_train(CLI::App& run, int& exit_code);
void add_run_generate(CLI::App& run, int& exit_code);

/// Threads this process may run on.
int machine_threads();

}  // namespace dtcalc::cli
