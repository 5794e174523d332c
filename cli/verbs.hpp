// The verbs of `dtcalc`, one file each. main.cpp adds them all; each adds its subcommand to the program and, when it is
// the one that is called, runs and stores its exit code.
#pragma once

namespace CLI {
class App;
}

namespace dtcalc::cli {

void add_estimate(CLI::App& program, int& exit_code);
void add_explain(CLI::App& program, int& exit_code);
void add_plan(CLI::App& program, int& exit_code);
void add_compare(CLI::App& program, int& exit_code);
void add_roofline(CLI::App& program, int& exit_code);
void add_simulate(CLI::App& program, int& exit_code);
void add_sweep(CLI::App& program, int& exit_code);
void add_scaling(CLI::App& program, int& exit_code);
void add_batch(CLI::App& program, int& exit_code);
void add_measure(CLI::App& program, int& exit_code);
void add_run(CLI::App& program, int& exit_code);
void add_validate(CLI::App& program, int& exit_code);
void add_presets(CLI::App& program, int& exit_code);
void add_schema(CLI::App& program, int& exit_code);
void add_doctor(CLI::App& program, int& exit_code);
void add_completion(CLI::App& program, int& exit_code);

}  // namespace dtcalc::cli
