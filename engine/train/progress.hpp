// Progress of a long run on a terminal or in a log, stopping on Ctrl-C, and output that survives `| head` and a full
// disk. Called by the verbs that take time: run train, run generate, measure, validate, sweep.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"

namespace dtcalc {

/// What is known about the far end of a file descriptor.
struct Terminal {
  bool is_terminal = false;
  bool colour = false;  ///< a terminal, NO_COLOR unset or empty, TERM not `dumb`
  int columns = 80;
};
Terminal inspect_terminal(int descriptor);

/// One line without line end, exactly fitted to fewer than `columns` columns: label, bar, percent, remaining time,
/// text. `remaining` below 0 is not shown. Plain ASCII; colour codes only if `colour`.
std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total, double remaining_s,
                          std::string_view text, int columns, bool colour);

/// Draws on `descriptor` (stderr). On a terminal one line is redrawn at most ten times a second; otherwise a plain line
/// appears with the first and last step and between them at most every ten seconds. Failing writes are ignored:
/// progress never stops a run.
class Progress {
 public:
  Progress(int descriptor, std::string label, std::int64_t total, std::int64_t already_done = 0);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  ///< finish()

  /// `done` of `total` are finished; `text` is shown behind the bar (`loss 2.31, 12.1k tokens/s`).
  void update(std::int64_t done, std::string_view text);
  /// Prints a lasting line above the bar.
  void note(std::string_view line);
  /// Clears the bar (terminal) or prints the last update if it has not been (log).
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  int descriptor_;
  Terminal terminal_;
  std::string label_;
  std::int64_t total_;
  std::int64_t already_done_;
  std::int64_t done_;
  std::string text_;
  Clock::time_point started_;
  Clock::time_point drawn_{};
  bool pending_ = false;  ///< an update has not been shown
  bool visible_ = false;  ///< the terminal's cursor stands in a drawn bar
};

/// While one lives, SIGINT and SIGTERM ask the run to stop at its next step instead of ending the process; a second
/// SIGINT exits at once with 130. At most one may live at a time (signal handlers are the process's, hence the one
/// piece of state behind it). The old handlers come back at the end.
class StopRequest {
 public:
  StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();
  bool requested() const;
  /// 130 after SIGINT, 143 after SIGTERM, 0 when nothing was requested.
  int exit_code() const;
};

/// Makes writing to a closed pipe an error (EPIPE) instead of a silent death; call once at the start of main.
void ignore_broken_pipes();

enum class Delivery : std::uint8_t {
  written,
  reader_gone  ///< the other end of the pipe was closed (`| head`): not an error, but further output is useless
};

/// Writes all of `text` to the descriptor (stdout). An error (disk full, quota, I/O) names `place`.
Result<Delivery> checked_write(int descriptor, std::string_view text, const std::string& place = "standard output");

}  // namespace dtcalc
