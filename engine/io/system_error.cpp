#include "engine/io/system_error.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <system_error>

namespace dtcalc {
namespace {

const char* way_out(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return "free disk space or choose another folder";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f)";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a place that this user may access";
    case ENOENT:
      return "check the path";
    case ENOTDIR:
      return "a part of the path is a file; check the path";
    case EISDIR:
      return "give a file, not a folder";
    case EMFILE:
    case ENFILE:
      return "raise the limit on open files (ulimit -n)";
    case EIO:
      return "check the disk";
    default:
      return "";
  }
}

}  // namespace

Error system_error(std::string place, std::string_view action, int number) {
  return {std::move(place), "", fmt::format("cannot be {} ({})", action, std::generic_category().message(number)),
          way_out(number), ErrorKind::file};
}

}  // namespace dtcalc
