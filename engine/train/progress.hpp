// Progress of a long run: a bar on a terminal, nothing in a log. Called by the verbs that take time: run train,
// run generate, measure, validate, sweep.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace dtcalc {

/// What is known about the far end of a file descriptor.
struct Terminal {
  bool is_terminal = false;  ///< and one that can redraw a line (TERM is set and not `dumb`)
  bool colour = false;       ///< such a terminal, and NO_COLOR is unset or empty
  int columns = 80;
};
Terminal inspect_terminal(int descriptor);

/// One line without line end, exactly fitted to fewer than `columns` columns: label, bar, percent, remaining time,
/// text. `remaining_s` below 0 is not shown. The texts must be plain ASCII; colour codes only if `colour`.
std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total, double remaining_s,
                          std::string_view text, int columns, bool colour);

/// Draws on `descriptor` (stderr) when that is a terminal: one line, redrawn at most ten times a second. Anywhere else
/// nothing but notes appears. Failing writes are ignored: progress never stops a run.
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
  /// Clears the bar.
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
  bool visible_ = false;  ///< the terminal's cursor stands in a drawn bar
};

}  // namespace dtcalc
