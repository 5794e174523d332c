#include "gui/interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <QCoreApplication>
#include <QSocketNotifier>
#include <csignal>

namespace dtcalc::gui {
namespace {

/// A handler may do no more than write; the event loop reads the other end.
int write_end = -1;

void note(int signal) {
  const auto byte = static_cast<unsigned char>(signal);
  [[maybe_unused]] const auto written = ::write(write_end, &byte, 1);
}

}  // namespace

void quit_on_signals() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;  // then the signals end the program at once
  write_end = ends[1];
  auto* notifier = new QSocketNotifier(ends[0], QSocketNotifier::Read, QCoreApplication::instance());
  QObject::connect(notifier, &QSocketNotifier::activated, notifier, [read_end = ends[0]] {
    unsigned char signal = 0;
    if (::read(read_end, &signal, 1) == 1) QCoreApplication::exit(128 + signal);
  });
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

}  // namespace dtcalc::gui
