#include "cli/file_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "engine/io/output.hpp"
#include "engine/io/system_error.hpp"

namespace dtcalc::cli {
namespace {

namespace fs = std::filesystem;

/// Writes and closes; syncs when the bytes are to outlive a power loss.
std::vector<Error> write_and_close(int descriptor, std::string_view text, const std::string& place, bool sync) {
  const Result<Delivery> written = checked_write(descriptor, text, place);
  std::vector<Error> errors = written.errors();
  if (errors.empty() && sync && ::fsync(descriptor) != 0) errors.push_back(system_error(place, "written", errno));
  if (::close(descriptor) != 0 && errors.empty()) errors.push_back(system_error(place, "written", errno));
  return errors;
}

}  // namespace

std::vector<Error> write_file(const fs::path& file, std::string_view text) {
  const std::string place = file.string();
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const int descriptor = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return {system_error(place, "opened", errno)};
    return write_and_close(descriptor, text, place, false);
  }
  std::error_code ignored;
  const fs::path target = fs::is_symlink(file, ignored) ? fs::weakly_canonical(file, ignored) : file;
  const fs::path temporary = fmt::format("{}.{}.unfinished", target.string(), ::getpid());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return {system_error(place, "opened", errno)};
  std::vector<Error> errors = write_and_close(descriptor, text, place, true);
  if (errors.empty() && ::rename(temporary.c_str(), target.c_str()) != 0)
    errors.push_back(system_error(place, "written", errno));
  if (!errors.empty()) ::unlink(temporary.c_str());
  return errors;
}

}  // namespace dtcalc::cli
