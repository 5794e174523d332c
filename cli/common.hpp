// What all verbs share: options, loading a scenario, exit codes, errors, and output that arrives whole or says why not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace CLI {
class App;
}

namespace dtcalc::cli {

/// Exit codes of every verb.
enum ExitCode : int {
  exit_done = 0,
  exit_condition = 1,      ///< computed, but the asked condition fails (--require-fit, validate out of tolerance)
  exit_input = 2,          ///< usage or invalid scenario
  exit_file = 3,           ///< a file is missing, unreadable or cannot be written (disk full)
  exit_no_device = 4,      ///< no such device on this machine
  exit_memory = 5,         ///< the device's memory does not suffice
  exit_internal = 70,      ///< a defect of dtcalc
  exit_interrupted = 130,  ///< Ctrl-C
};

struct OutputOptions {
  bool json = false, csv = false;
  std::string file;  ///< -o; empty is standard output
};

struct CommonOptions {
  std::string scenario;                            ///< file; empty: the scenario is made of the options below
  std::string model, hardware, software, cluster;  ///< preset names or files; they replace the scenario file's sections
  std::vector<std::string> set;                    ///< path=value, applied last
  OutputOptions output;
};

/// --json, --csv (not both) and -o FILE. `has_csv` false: the verb has no table to print.
void add_output(CLI::App& verb, OutputOptions& options, bool has_csv = true);
/// The scenario and output options that all verbs about one scenario take.
void add_common(CLI::App& verb, CommonOptions& options, bool has_csv = true);

/// The checked scenario that the options describe. Relative paths given as options start at the working directory,
/// those in the scenario file at its folder.
Result<Scenario> load(const CommonOptions& options);

/// A preset's name stays; a path becomes absolute, so that it does not start at the scenario file's folder.
std::string located(const std::string& name_or_path);

/// The same before checking: the document with the options put in, and the folder its relative paths start at. For
/// verbs that load many variants.
struct Document {
  std::string text;  ///< JSON
  std::string base;  ///< folder; empty is the working directory
};
Result<Document> document_of(const CommonOptions& options);
Result<Scenario> load(const Document& document, const std::vector<std::string>& overrides);

/// Prints the errors to standard error; the exit code: 5 when one is about memory, 4 when one is about a device, 3 when
/// all are about files, else 2.
int fail(const std::vector<Error>& errors);
int fail(const Error& error);

/// Delivers a verb's whole output to standard output or, whole or not at all, to the file; 0, or the exit code of the
/// error, which is printed. A reader who has gone (`| head`) is no error.
int deliver(const OutputOptions& options, std::string_view text);

/// Whether text for people may be coloured: standard output is a terminal, no -o, and NO_COLOR is not set.
bool coloured(const OutputOptions& options);
/// Columns of the terminal, at most 100; 80 when the output is no terminal.
int text_columns(const OutputOptions& options);

}  // namespace dtcalc::cli
