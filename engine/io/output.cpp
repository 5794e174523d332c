#include "engine/io/output.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "engine/io/system_error.hpp"

namespace dtcalc {

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

Result<Delivery> checked_write(int descriptor, std::string_view text, const std::string& place) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd waiting{descriptor, POLLOUT, 0};  // someone made our terminal or pipe non-blocking
      ::poll(&waiting, 1, -1);
    } else if (errno == EPIPE) {
      return Delivery::reader_gone;
    } else if (errno != EINTR) {
      return system_error(place, "written", errno);
    }
  }
  return Delivery::written;
}

}  // namespace dtcalc
