// engine/train/progress, engine/train/stop_request, engine/io/output: what a terminal, a log and a closed pipe get to
// see.
#include "engine/train/progress.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "engine/io/output.hpp"
#include "engine/train/stop_request.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Sets an environment variable for the life of the object.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Environment() { had_ ? ::setenv(name_, old_.c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

/// A pipe or pseudo terminal: what is written at one end is read at the other.
struct Channel {
  int ours = -1, theirs = -1;
  ~Channel() {
    ::close(ours);
    if (theirs >= 0) ::close(theirs);
  }
  /// Everything written so far.
  std::string read() const {
    ::fcntl(ours, F_SETFL, O_NONBLOCK);
    std::string text;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(ours, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }
};

void open_pipe(Channel& channel) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  channel.ours = ends[0];
  channel.theirs = ends[1];
}

void open_terminal(Channel& channel, unsigned short columns) {
  const winsize size{24, columns, 0, 0};
  REQUIRE(::openpty(&channel.ours, &channel.theirs, nullptr, nullptr, &size) == 0);
}

/// Columns that a line takes, colour codes left out.
std::size_t width(std::string line) {
  for (std::size_t at = 0; (at = line.find('\x1B')) != std::string::npos;) line.erase(at, line.find('m', at) - at + 1);
  return line.size();
}

/// Exit status of a child process that runs `body`; 1000 + signal if one killed it.
template <class Body>
int status_of_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("progress: the line shows share, count, remaining time and text") {
  CHECK(progress_line("train", 25, 100, 61, "loss 2.31", 100, false) ==
        "train [=======                       ]  25 % 25/100, 1m 01s left, loss 2.31");
  CHECK(progress_line("train", 100, 100, -1, "", 100, false) == "train [==============================] 100 % 100/100");
  CHECK_THAT(progress_line("", 999, 1000, 7205, "", 100, false), ContainsSubstring(" 99 % 999/1000, 2h 00m left"));
  CHECK_THAT(progress_line("train", 1, 2, 1, "", 80, true), ContainsSubstring("\x1B[32m"));
}

TEST_CASE("progress: the line fits every width, and the total may be unknown") {
  for (int columns = 0; columns < 120; ++columns) {
    CAPTURE(columns);
    const std::string line = progress_line("train", 123, 4567, 89, "loss 2.31", columns, true);
    CHECK(width(line) <= static_cast<std::size_t>(std::max(columns - 1, 0)));
  }
  // A bar of less than five columns says nothing: the room goes to the figures.
  CHECK(progress_line("train", 1, 2, -1, "", 24, false) == "train [==   ]  50 % 1/2");
  CHECK(progress_line("train", 1, 2, -1, "", 23, false) == "train  50 % 1/2");
  CHECK_THAT(progress_line("x", 5, 0, -1, "", 80, false), ContainsSubstring("  0 % 5/0"));
  CHECK_THAT(progress_line("x", 7, 5, -1, "", 80, false), ContainsSubstring("100 % 7/5"));
}

TEST_CASE("progress: a terminal is redrawn and left clean") {
  const Environment kind("TERM", "xterm"), colour("NO_COLOR", nullptr);
  Channel channel;
  open_terminal(channel, 60);
  {
    Progress progress(channel.theirs, "train", 1000);
    for (int step = 960; step <= 999; ++step) progress.update(step, "loss 1");
    const std::string drawn = channel.read();
    CHECK_THAT(drawn, ContainsSubstring("\r\x1B[Ktrain ["));
    CHECK_THAT(drawn, ContainsSubstring("\x1B[32m"));
    // Forty updates within a moment are a handful of redraws.
    CHECK(drawn.size() < 1000);
    progress.note("saved step-00000010");
    const std::string noted = channel.read();
    CHECK(noted.starts_with("\r\x1B[Ksaved step-00000010\r\n"));
    CHECK_THAT(noted, ContainsSubstring("999/1000"));  // the bar is back
  }
  CHECK(channel.read() == "\r\x1B[K");
}

TEST_CASE("progress: NO_COLOR and dumb terminals are respected") {
  Channel channel;
  open_terminal(channel, 60);
  const Environment kind("TERM", "xterm");
  {
    const Environment none("NO_COLOR", "1");
    CHECK_FALSE(inspect_terminal(channel.theirs).colour);
    CHECK(inspect_terminal(channel.theirs).is_terminal);
    CHECK(inspect_terminal(channel.theirs).columns == 60);
  }
  {
    const Environment empty("NO_COLOR", "");  // the convention: an empty value does not count
    CHECK(inspect_terminal(channel.theirs).colour);
  }
  const Environment dumb("TERM", "dumb");
  CHECK_FALSE(inspect_terminal(channel.theirs).is_terminal);
}

TEST_CASE("progress: a log gets the notes and nothing else") {
  Channel channel;
  open_pipe(channel);
  {
    Progress progress(channel.theirs, "train", 1000);
    for (int step = 1; step <= 1000; ++step) progress.update(step, "loss 1");
    progress.note("done");
  }
  CHECK(channel.read() == "done\n");
}

TEST_CASE("output: a full disk is an error, a closed pipe is not") {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  const Result<Delivery> lost = checked_write(full, "text");
  ::close(full);
  REQUIRE_FALSE(lost);
  CHECK_THAT(describe(lost.errors()),
             ContainsSubstring("standard output: cannot be written (No space left on device); free disk space"));

  const auto old = std::signal(SIGPIPE, SIG_DFL);
  ignore_broken_pipes();
  Channel channel;
  open_pipe(channel);
  CHECK(*checked_write(channel.theirs, "text") == Delivery::written);
  CHECK(channel.read() == "text");
  Channel broken;
  open_pipe(broken);
  ::close(broken.ours);
  CHECK(*checked_write(broken.theirs, "text") == Delivery::reader_gone);
  broken.ours = -1;
  std::signal(SIGPIPE, old);
}

TEST_CASE("output: a slow reader of a non-blocking pipe gets everything") {
  Channel channel;
  open_pipe(channel);
  ::fcntl(channel.theirs, F_SETFL, O_NONBLOCK);
  const std::string text(1 << 20, 'x');  // sixteen times what a pipe holds
  std::string received;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(channel.ours, buffer, sizeof buffer)) > 0;) {
      received.append(buffer, static_cast<std::size_t>(count));
    }
  });
  CHECK(*checked_write(channel.theirs, text) == Delivery::written);
  ::close(std::exchange(channel.theirs, -1));
  reader.join();
  CHECK(received == text);
}

TEST_CASE("stop request: the first signal asks, the run goes on") {
  const auto before = std::signal(SIGINT, SIG_DFL);
  {
    const StopRequest stop;
    CHECK_FALSE(stop.requested());
    CHECK(stop.exit_code() == 0);
    ::raise(SIGINT);
    CHECK(stop.requested());
    CHECK(stop.exit_code() == 130);
  }
  {
    const StopRequest stop;
    CHECK_FALSE(stop.requested());
    ::raise(SIGTERM);
    CHECK(stop.exit_code() == 143);
  }
  CHECK(std::signal(SIGINT, before) == SIG_DFL);  // the old handler came back
}

TEST_CASE("stop request: a second Ctrl-C exits at once with 130, a second SIGTERM still waits") {
  CHECK(status_of_child([] {
          const StopRequest stop;
          ::raise(SIGINT);
          ::raise(SIGINT);
        }) == 130);
  CHECK(status_of_child([] {
          const StopRequest stop;
          ::raise(SIGTERM);
          ::raise(SIGTERM);
        }) == 99);
  CHECK(status_of_child([] {
          { const StopRequest stop; }
          ::signal(SIGINT, SIG_DFL);
          ::raise(SIGINT);
        }) == 1000 + SIGINT);
}
