// engine/io/atomic: a folder appears whole or not at all, errors are reported, nothing is left behind.
#include "engine/io/atomic.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <vector>

#include "support/catch.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;
using dtcalc::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// Writes one file into a folder; the first error.
std::optional<Error> write_folder(const fs::path& target, std::string_view content) {
  Result<FolderWriter> folder = FolderWriter::begin(target);
  if (!folder) return folder.errors().front();
  Result<FileWriter> file = folder->create("a");
  if (!file) return file.errors().front();
  if (auto error = file->write(content)) return error;
  if (auto error = file->finish()) return error;
  return folder->commit();
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("atomic: nothing stands under the final name before commit, everything after") {
  const TemporaryFolder temporary;
  const fs::path target = temporary.path() / "new" / "parent" / "run";
  Result<FolderWriter> folder = FolderWriter::begin(target);
  REQUIRE(folder);
  Result<FileWriter> file = folder->create("a");
  REQUIRE(file);
  REQUIRE_FALSE(file->write("content"));
  REQUIRE_FALSE(file->finish());
  CHECK_FALSE(fs::exists(target));
  REQUIRE_FALSE(folder->commit());
  CHECK(test::read_bytes(target / "a") == "content");
  CHECK(entries(target.parent_path()) == 1);
}

TEST_CASE("atomic: a writer that gives up leaves nothing") {
  const TemporaryFolder temporary;
  {
    Result<FolderWriter> folder = FolderWriter::begin(temporary.path() / "run");
    REQUIRE(folder);
    REQUIRE(folder->create("a"));
    CHECK(entries(temporary.path()) == 1);
  }
  CHECK(entries(temporary.path()) == 0);
}

TEST_CASE("atomic: a folder of the same name is replaced, leftovers of a killed writer do not matter") {
  const TemporaryFolder temporary;
  const fs::path target = temporary.path() / "run";
  test::write_bytes(temporary.path() / "run.unfinished" / "half", "x");
  REQUIRE_FALSE(write_folder(target, "one"));
  test::write_bytes(target / "b", "only in the first");
  REQUIRE_FALSE(write_folder(target, "two"));
  CHECK(test::read_bytes(target / "a") == "two");
  CHECK(entries(target) == 1);
  CHECK(entries(temporary.path()) == 1);
}

TEST_CASE("atomic: a file under the target's name is not replaced") {
  const TemporaryFolder temporary;
  test::write_bytes(temporary.path() / "run", "a file");
  const auto error = write_folder(temporary.path() / "run", "x");
  REQUIRE(error);
  CHECK_THAT(describe(error.value()), ContainsSubstring("run: cannot be put in place"));
  CHECK(test::read_bytes(temporary.path() / "run") == "a file");
  CHECK(entries(temporary.path()) == 1);
}

TEST_CASE("atomic: leftovers and old folders are removed") {
  const TemporaryFolder temporary;
  test::write_bytes(temporary.path() / "step-1.unfinished" / "half", "x");
  test::write_bytes(temporary.path() / "step-1.unfinished.unfinished" / "half", "x");
  test::write_bytes(temporary.path() / "step-1" / "a", "x");
  test::write_bytes(temporary.path() / "unfinished" / "mine", "x");
  REQUIRE_FALSE(remove_unfinished(temporary.path()));
  CHECK(entries(temporary.path()) == 2);
  REQUIRE_FALSE(remove_folder(temporary.path() / "step-1"));
  CHECK(entries(temporary.path()) == 1);
  CHECK(fs::exists(temporary.path() / "unfinished" / "mine"));
  CHECK_FALSE(remove_unfinished(temporary.path() / "absent"));
  CHECK(remove_folder(temporary.path() / "absent"));
}

TEST_CASE("atomic: a write that fails is reported with file and reason, and nothing is left") {
  const TemporaryFolder temporary;
  // A limit on file sizes makes write() fail halfway on every machine.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limited = before;
  limited.rlim_cur = 100;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const auto error = write_folder(temporary.path() / "run", std::string(1000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  REQUIRE(error);
  CHECK_THAT(describe(error.value()),
             ContainsSubstring("run.unfinished/a: cannot be written (File too large); raise the limit"));
  CHECK(entries(temporary.path()) == 0);
}

TEST_CASE("atomic: a full disk is reported, and nothing is left") {
  const TemporaryFolder temporary;
  const auto outcome = test::with_small_disk(temporary.path(), "64k", [&] {
    if (write_folder(temporary.path() / "run", "fits")) return false;
    const auto error = write_folder(temporary.path() / "run", std::string(1 << 20, 'x'));
    return error && describe(*error).find("No space left on device); free disk space") != std::string::npos &&
           test::read_bytes(temporary.path() / "run" / "a") == "fits" && entries(temporary.path()) == 1;
  });
  if (outcome == test::DiskTest::not_possible) DTCALC_SKIP("this user may not mount a tmpfs");
  CHECK(outcome == test::DiskTest::passed);
}

TEST_CASE("atomic: a place without permission is an error") {
  if (::geteuid() == 0) {
    // root may write anywhere on a disk; /proc takes no folders from anyone
    const auto error = write_folder("/proc/dtcalc/run", "x");
    REQUIRE(error);
    CHECK_THAT(describe(error.value()), ContainsSubstring("/proc/dtcalc: cannot be created"));
    return;
  }
  const auto error = write_folder("/dtcalc-test/run", "x");
  REQUIRE(error);
  CHECK_THAT(describe(error.value()),
             ContainsSubstring("/dtcalc-test: cannot be created (Permission denied); choose a place"));
}
