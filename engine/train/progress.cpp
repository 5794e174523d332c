#include "engine/train/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "engine/io/output.hpp"

namespace dtcalc {
namespace {

using namespace std::chrono_literals;

constexpr auto redraw_interval = 100ms;
constexpr int widest_bar = 30;
constexpr int narrowest_bar = 5;
constexpr std::string_view clear_line = "\r\x1B[K";

/// `45s`, `12m 05s`, `3h 07m`.
std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::min(seconds, 1e9)));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
}

}  // namespace

Terminal inspect_terminal(int descriptor) {
  Terminal terminal;
  terminal.is_terminal = ::isatty(descriptor) == 1;
  if (!terminal.is_terminal) return terminal;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* kind = std::getenv("TERM");
  const bool dumb = kind == nullptr || std::string_view(kind) == "dumb";
  terminal.colour = (no_colour == nullptr || *no_colour == '\0') && !dumb;
  terminal.is_terminal = !dumb;  // a dumb terminal cannot redraw a line: it is treated as a log
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.columns = size.ws_col;
  return terminal;
}

std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total, double remaining_s,
                          std::string_view text, int columns, bool colour) {
  const double share = total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0.0;
  const std::string before = label.empty() ? std::string() : fmt::format("{} ", label);
  std::string after = fmt::format(" {:3.0f} % {}/{}", std::floor(share * 100), done, total);
  if (remaining_s >= 0) after += fmt::format(", {} left", duration(remaining_s));
  if (!text.empty()) after += fmt::format(", {}", text);

  // One column stays free, or some terminals wrap. What does not fit is cut from the end; the bar goes first.
  const int room = std::max(columns - 1, 0);
  const int others = static_cast<int>(before.size() + after.size()) + 2;  // the bar's brackets
  const int bar = std::min(widest_bar, room - others);
  if (bar < narrowest_bar) return (before + after.substr(1)).substr(0, static_cast<std::size_t>(room));
  const auto full = static_cast<std::size_t>(std::floor(share * bar));
  const std::string filled(full, '='), empty(static_cast<std::size_t>(bar) - full, ' ');
  return fmt::format("{}[{}{}{}{}]{}", before, colour ? "\x1B[32m" : "", filled, colour ? "\x1B[0m" : "", empty, after);
}

Progress::Progress(int descriptor, std::string label, std::int64_t total, std::int64_t already_done)
    : descriptor_(descriptor),
      terminal_(inspect_terminal(descriptor)),
      label_(std::move(label)),
      total_(total),
      already_done_(already_done),
      done_(already_done),
      started_(Clock::now()) {}

Progress::~Progress() { finish(); }

void Progress::update(std::int64_t done, std::string_view text) {
  if (!terminal_.is_terminal) return;
  done_ = done;
  text_ = text;
  const Clock::time_point now = Clock::now();
  const bool first = drawn_ == Clock::time_point();
  if (!first && done_ < total_ && now - drawn_ < redraw_interval) return;
  drawn_ = now;
  draw();
}

void Progress::draw() {
  const double elapsed = std::chrono::duration<double>(Clock::now() - started_).count();
  const std::int64_t here = done_ - already_done_;
  const double remaining = here > 0 ? elapsed / static_cast<double>(here) * static_cast<double>(total_ - done_) : -1;
  terminal_ = inspect_terminal(descriptor_);  // the window may have been resized
  static_cast<void>(checked_write(
      descriptor_, std::string(clear_line) +
                       progress_line(label_, done_, total_, remaining, text_, terminal_.columns, terminal_.colour)));
  visible_ = true;
}

void Progress::note(std::string_view line) {
  static_cast<void>(checked_write(descriptor_, fmt::format("{}{}\n", visible_ ? clear_line : "", line)));
  if (std::exchange(visible_, false)) draw();
}

void Progress::finish() {
  if (std::exchange(visible_, false)) static_cast<void>(checked_write(descriptor_, clear_line));
}

}  // namespace dtcalc
