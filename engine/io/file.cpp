#include "engine/io/file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "engine/io/system_error.hpp"

namespace dtcalc {
namespace {

Result<std::string> read_descriptor(int descriptor, const std::string& place, std::int64_t most) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return system_error(place, "read", errno);
  if (!S_ISREG(status.st_mode)) return Error{place, "", "is not a regular file", "give a file"};
  if (status.st_size > most) {
    return Error{place, fmt::format("{} bytes", status.st_size), fmt::format("are more than the {} allowed here", most),
                 "give a smaller file"};
  }
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(descriptor, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(place, "read", errno);
    if (count == 0) break;  // the file shrank meanwhile
    done += static_cast<std::size_t>(count);
  }
  content.resize(done);
  return content;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::int64_t most) {
  // Without O_NONBLOCK a named pipe in a folder of texts would hang the open.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return system_error(path.string(), "opened", errno);
  Result<std::string> content = read_descriptor(descriptor, path.string(), most);
  ::close(descriptor);
  return content;
}

}  // namespace dtcalc
