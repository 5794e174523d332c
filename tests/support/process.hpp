// Running a program from a test: arguments, input, environment, what it printed, how it ended, signals and time limits.
// Used by the tests of the command line and by those that kill a training run.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dtcalc::test {

struct ProcessOptions {
  std::vector<std::string> arguments{};
  std::string input{};             ///< what standard input holds; the end of file follows
  std::filesystem::path folder{};  ///< working folder; empty: the test's own
  /// Variables set or (without value) removed; the others are the test's own.
  std::vector<std::pair<std::string, std::optional<std::string>>> environment{};
  /// Standard output: captured, or if not empty this file or device (`/dev/full`).
  std::filesystem::path output{};
  bool output_closed = false;  ///< standard output is a pipe whose reader has gone, as of `| true`
};

struct ProcessResult {
  int exit_code = -1;      ///< -1 when a signal ended the process
  int signal = 0;          ///< the signal that ended it, 0 if none did
  bool timed_out = false;  ///< killed by `wait` because its time was over
  std::string output;      ///< standard output, empty if it went elsewhere
  std::string error;       ///< standard error
};

/// "exit code 2, standard error: ..." for CAPTURE and INFO.
std::string describe(const ProcessResult& result);

/// A running child. It is killed when the object goes, and when the test's process dies.
class Process {
 public:
  using Duration = std::chrono::milliseconds;

  /// A program that cannot be executed ends with 127, as in a shell. Throws std::runtime_error when the system has no
  /// room for another process.
  Process(const std::filesystem::path& program, const ProcessOptions& options);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  pid_t id() const { return id_; }
  bool running();
  /// Sends a signal; nothing happens once the process has ended.
  void send(int signal);
  /// What it has printed so far.
  std::string output() const;
  std::string error() const;
  /// Waits until standard output or error holds `text`; false if the process ends or the time passes first.
  bool wait_for(std::string_view text, Duration limit = std::chrono::seconds(60));
  /// Waits for the end; kills the process when the limit has passed.
  ProcessResult wait(Duration limit = std::chrono::seconds(120));

 private:
  pid_t id_ = -1;
  int output_ = -1;  ///< memory files that take what the child prints
  int error_ = -1;
  std::optional<int> status_;  ///< as waitpid gave it, once ended
};

/// Starts and waits.
ProcessResult run_process(const std::filesystem::path& program, const ProcessOptions& options = {},
                          Process::Duration limit = std::chrono::seconds(120));

}  // namespace dtcalc::test
