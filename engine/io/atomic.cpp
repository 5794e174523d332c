#include "engine/io/atomic.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "engine/io/system_error.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_per_write = std::size_t{1} << 20;

/// The test-only delay in front of a system call that changes the disk.
void wait_for_test() {
  if (const char* text = std::getenv("DTCALC_TEST_WRITE_DELAY_US")) {
    std::this_thread::sleep_for(std::chrono::microseconds(std::strtol(text, nullptr, 10)));
  }
}

std::optional<Error> sync_folder(const fs::path& folder) {
  wait_for_test();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_error(folder.string(), "opened", errno);
  const int problem = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // EINVAL: this file system cannot sync folders; then there is nothing more to do for them.
  if (problem != 0 && problem != EINVAL) return system_error(folder.string(), "synced to disk", problem);
  return std::nullopt;
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

fs::path unfinished(const fs::path& target) { return fs::path(target.string() + std::string(unfinished_suffix)); }

std::optional<Error> remove_tree(const fs::path& path) {
  wait_for_test();
  std::error_code problem;
  fs::remove_all(path, problem);
  if (problem) return system_error(path.string(), "removed", problem.value());
  return std::nullopt;
}

/// Creates `folder` and whatever stands above it, each new entry synced in its parent.
std::optional<Error> create_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code problem;
  for (fs::path path = folder; !fs::exists(path, problem) && !problem; path = parent_of(path)) missing.push_back(path);
  std::reverse(missing.begin(), missing.end());
  for (const fs::path& path : missing) {
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return system_error(path.string(), "created", errno);
    if (auto error = sync_folder(parent_of(path))) return error;
  }
  return std::nullopt;
}

/// Puts `temporary` in the place of `target`, a folder that is not empty. The old content ends up under `temporary`.
int exchange(const fs::path& temporary, const fs::path& target) {
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that cannot exchange: for a moment neither stands under the final name.
  const fs::path aside = unfinished(temporary);
  if (::rename(target.c_str(), aside.c_str()) != 0) return errno;
  if (::rename(temporary.c_str(), target.c_str()) != 0) return errno;
  if (::rename(aside.c_str(), temporary.c_str()) != 0) return errno;
  return 0;
}

}  // namespace

FileWriter::FileWriter(FileWriter&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), place_(std::move(other.place_)) {}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<Error> FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    wait_for_test();
    const ssize_t count = ::write(descriptor_, bytes.data(), std::min(bytes.size(), most_per_write));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(place_, "written", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return std::nullopt;
}

std::optional<Error> FileWriter::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

std::optional<Error> FileWriter::finish() {
  wait_for_test();
  if (::fsync(descriptor_) != 0) return system_error(place_, "synced to disk", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) return system_error(place_, "closed", errno);
  return std::nullopt;
}

Result<FolderWriter> FolderWriter::begin(const fs::path& target) {
  if (auto error = create_folders(parent_of(target))) return *error;
  const fs::path temporary = unfinished(target);
  if (auto error = remove_tree(temporary)) return *error;
  wait_for_test();
  if (::mkdir(temporary.c_str(), 0777) != 0) return system_error(temporary.string(), "created", errno);
  return FolderWriter(target, temporary);
}

FolderWriter::FolderWriter(FolderWriter&& other) noexcept
    : target_(std::move(other.target_)), temporary_(std::exchange(other.temporary_, fs::path())) {}

FolderWriter::~FolderWriter() {
  std::error_code ignored;  // what cannot be removed now is removed by the next save
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

Result<FileWriter> FolderWriter::create(std::string_view file_name) {
  const fs::path path = temporary_ / file_name;
  wait_for_test();
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return system_error(path.string(), "created", errno);
  return FileWriter(descriptor, path.string());
}

std::optional<Error> FolderWriter::commit() {
  if (auto error = sync_folder(temporary_)) return error;
  wait_for_test();
  if (::rename(temporary_.c_str(), target_.c_str()) == 0) {
    temporary_.clear();
  } else if (errno != ENOTEMPTY && errno != EEXIST) {
    return system_error(target_.string(), "put in place", errno);
  } else if (const int problem = exchange(temporary_, target_)) {
    return system_error(target_.string(), "replaced", problem);
  }
  if (auto error = sync_folder(parent_of(target_))) return error;
  if (temporary_.empty()) return std::nullopt;
  return remove_tree(std::exchange(temporary_, fs::path()));
}

std::optional<Error> remove_unfinished(const fs::path& folder) {
  std::error_code problem;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end; entry.increment(problem)) {
    if (entry->path().filename().string().ends_with(unfinished_suffix)) leftovers.push_back(entry->path());
  }
  if (problem && problem != std::errc::no_such_file_or_directory) {
    return system_error(folder.string(), "read", problem.value());
  }
  for (const fs::path& leftover : leftovers) {
    if (auto error = remove_tree(leftover)) return error;
  }
  return std::nullopt;
}

std::optional<Error> remove_folder(const fs::path& folder) {
  const fs::path aside = unfinished(folder);
  if (auto error = remove_tree(aside)) return error;
  wait_for_test();
  if (::rename(folder.c_str(), aside.c_str()) != 0) return system_error(folder.string(), "renamed", errno);
  return remove_tree(aside);
}

}  // namespace dtcalc
