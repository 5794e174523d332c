// A tiny file system of a test's own, to fill it up. Needs user namespaces (or root), which not every machine allows.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace dtcalc::test {

enum class DiskTest { passed, failed, not_possible };

/// Runs `check` (which returns whether it passed) in a child process in which a tmpfs of `size` (`256k`) lies on
/// `folder`.
template <class Check>
DiskTest with_small_disk(const std::filesystem::path& folder, const char* size, const Check& check) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool alone = ::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    const std::string options = std::string("size=") + size;
    if (!alone || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) {
      ::_exit(2);
    }
    ::_exit(check() ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return DiskTest::failed;
  return WEXITSTATUS(status) == 0   ? DiskTest::passed
         : WEXITSTATUS(status) == 2 ? DiskTest::not_possible
                                    : DiskTest::failed;
}

}  // namespace dtcalc::test
