#include "engine/train/stop_request.hpp"

#include <unistd.h>

#include <csignal>

namespace dtcalc {
namespace {

constexpr int interrupted_exit_code = 130;

// Signal handlers can reach nothing else. `stop_signal` is 0 until the first signal.
volatile std::sig_atomic_t stop_signal = 0;
struct sigaction old_interrupt {};
struct sigaction old_terminate {};

extern "C" void note_stop_signal(int number) {
  if (stop_signal != 0 && number == SIGINT) ::_exit(interrupted_exit_code);
  stop_signal = number;
}

}  // namespace

StopRequest::StopRequest() {
  stop_signal = 0;
  struct sigaction action {};
  action.sa_handler = note_stop_signal;
  action.sa_flags = SA_RESTART;  // the run goes on to its next step; its reads and writes need not fail
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &old_interrupt);
  ::sigaction(SIGTERM, &action, &old_terminate);
}

StopRequest::~StopRequest() {
  ::sigaction(SIGINT, &old_interrupt, nullptr);
  ::sigaction(SIGTERM, &old_terminate, nullptr);
}

bool StopRequest::requested() const { return stop_signal != 0; }

int StopRequest::exit_code() const { return stop_signal == 0 ? 0 : 128 + stop_signal; }

}  // namespace dtcalc
